#include "discovery/kubernetes_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <optional>

#include "discovery/source_notes.h"
#include "http/server.h"
#include "support/temporary_folder.h"

namespace autoglm::discovery {
namespace {

using autoglm::testing::Notebook;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Slice(const std::string& name, const std::string& address) {
  return R"({"metadata":{"name":")" + name + R"(","resourceVersion":"7"},"addressType":"IPv4","endpoints":[{"addresses":[")" +
         address + R"("],"conditions":{"ready":true}}],"ports":[{"name":"http","port":8000}]})";
}

// Stands in for the API server of a cluster, which cannot be had where tests run: it speaks what the API's documentation and
// recorded answers show, a list as one object and a watch as a line for each event.
class FakeApiServer {
 public:
  FakeApiServer() {
    server_ = *http::Server::Start({.port = 0}, [this](const auto& request, const auto& exchange) { On(*request, exchange); });
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }

  void Lists(std::string slices) {
    const std::lock_guard lock(mutex_);
    slices_ = std::move(slices);
  }
  void AnswersLists(int status, std::string body) {
    const std::lock_guard lock(mutex_);
    failure_ = http::Response{.status = status, .body = std::move(body)};
  }
  void AnswersWatches(int status) {
    const std::lock_guard lock(mutex_);
    watch_status_ = status;
  }
  void Recovers() {
    const std::lock_guard lock(mutex_);
    failure_.reset();
    watch_status_ = 200;
  }
  // Of the watch of this number, from 0 on, once it has come.
  void Tells(size_t watch, const std::string& type, const std::string& object) {
    watches_.At(watch)->Write(R"({"type":")" + type + R"(","object":)" + object + "}\n");
  }
  void Writes(size_t watch, std::string bytes) { watches_.At(watch)->Write(std::move(bytes)); }
  void EndsWatch(size_t watch) { watches_.At(watch)->End(); }

  Notebook<std::string> asked;  // "list TOKEN" or "watch VERSION TOKEN"

 private:
  void On(const http::Request& request, const std::shared_ptr<http::Exchange>& exchange) {
    EXPECT_EQ(request.path, "/apis/discovery.k8s.io/v1/namespaces/prod/endpointslices");
    EXPECT_THAT(request.query, StartsWith("labelSelector=kubernetes.io%2Fservice-name%3Dllm"));
    const std::string token(request.Header("authorization"));
    const std::lock_guard lock(mutex_);
    if (request.query.find("&watch=1&allowWatchBookmarks=true") == std::string::npos) {
      asked.Write("list " + token);
      exchange->Send(failure_.value_or(http::Response{
          .body = R"({"kind":"EndpointSliceList","metadata":{"resourceVersion":"100"},"items":[)" + slices_ + "]}"}));
      return;
    }
    asked.Write("watch " + request.query.substr(request.query.rfind('=') + 1) + " " + token);
    if (watch_status_ != 200) return exchange->Send({.status = watch_status_});
    exchange->Start({});
    watches_.Write(exchange);
  }

  std::mutex mutex_;
  std::string slices_;
  std::optional<http::Response> failure_;
  int watch_status_ = 200;
  Notebook<std::shared_ptr<http::Exchange>> watches_;
  std::unique_ptr<http::Server> server_;
};

class KubernetesSourceTest : public ::testing::Test {
 protected:
  ~KubernetesSourceTest() override { Stop(); }
  void Start() { StartAt(server_.url()); }
  void StartAt(const std::string& api_server) {
    const gateway::DiscoveryConfig::Kubernetes config{
        .service = "llm", .namespace_name = "prod", .port_name = "http", .api_server = api_server, .token_file = token_};
    const auto service = KubernetesService::Of(config, {});
    ASSERT_TRUE(service) << service.error().message;
    const KubernetesTimes times{.first_retry = std::chrono::milliseconds(4), .longest_retry = std::chrono::milliseconds(20)};
    thread_.RunAndWait([&] {
      client_.emplace(thread_.loop());
      source_.emplace(*service, gateway::UpstreamConfig{}, thread_.loop(), *client_, notes_.Hooks(), times);
    });
  }
  void Stop() {
    thread_.RunAndWait([this] {
      source_.reset();
      client_.reset();
    });
  }

  const TemporaryFolder folder_;
  const std::filesystem::path token_ = folder_.Write("token", std::string_view("secret\n"));
  FakeApiServer server_;
  SourceNotes notes_;
  http::LoopThread thread_;
  std::optional<http::Client> client_;
  std::optional<KubernetesSource> source_;
};

TEST_F(KubernetesSourceTest, ListsThenFollowsEveryChange) {
  server_.Lists(Slice("a", "10.0.0.1"));
  Start();
  EXPECT_EQ(notes_.At(0), "http://10.0.0.1:8000");
  EXPECT_EQ(server_.asked.At(0), "list Bearer secret");
  EXPECT_EQ(server_.asked.At(1), "watch 100 Bearer secret");
  server_.Tells(0, "ADDED", Slice("b", "10.0.0.2"));
  EXPECT_EQ(notes_.At(1), "http://10.0.0.1:8000 http://10.0.0.2:8000");
  server_.Tells(0, "DELETED", Slice("a", "10.0.0.1"));
  EXPECT_EQ(notes_.At(2), "http://10.0.0.2:8000");
  server_.Tells(0, "DELETED", Slice("b", "10.0.0.2"));
  EXPECT_EQ(notes_.At(3), "nobody");
}

TEST_F(KubernetesSourceTest, EventsMayComeInPiecesAndTogether) {
  Start();
  EXPECT_EQ(notes_.At(0), "nobody");
  const std::string event = R"({"type":"ADDED","object":)" + Slice("a", "10.0.0.1") + "}\n";
  for (size_t i = 0; i < event.size(); i += 50) server_.Writes(0, event.substr(i, 50));
  EXPECT_EQ(notes_.At(1), "http://10.0.0.1:8000");
  server_.Writes(0, R"({"type":"ADDED","object":)" + Slice("b", "10.0.0.2") + "}\n" + R"({"type":"DELETED","object":)" +
                        Slice("a", "10.0.0.1") + "}\n");
  EXPECT_EQ(notes_.At(2), "http://10.0.0.2:8000") << "told together, taken together";
}

TEST_F(KubernetesSourceTest, AVersionThatIsGoneIsListedAnew) {
  server_.Lists(Slice("a", "10.0.0.1"));
  Start();
  EXPECT_EQ(notes_.At(0), "http://10.0.0.1:8000");
  server_.Lists(Slice("a", "10.0.0.9"));
  server_.Tells(0, "BOOKMARK", R"({"metadata":{"resourceVersion":"200"}})");
  server_.Tells(0, "ERROR", R"({"kind":"Status","code":410,"reason":"Expired","message":"too old resource version"})");
  EXPECT_EQ(notes_.At(1), "http://10.0.0.9:8000");
  EXPECT_EQ(server_.asked.At(2), "list Bearer secret");
  EXPECT_EQ(server_.asked.At(3), "watch 100 Bearer secret");
}

TEST_F(KubernetesSourceTest, AWatchThatEndsOrBreaksGoesOn) {
  server_.Lists(Slice("a", "10.0.0.1"));
  Start();
  EXPECT_EQ(notes_.At(0), "http://10.0.0.1:8000");
  server_.EndsWatch(0);
  server_.Tells(1, "ADDED", Slice("b", "10.0.0.2"));
  EXPECT_EQ(notes_.At(1), "http://10.0.0.1:8000 http://10.0.0.2:8000");
  server_.Writes(1, "this is no event\n");
  server_.Tells(2, "ADDED", Slice("c", "10.0.0.3"));
  EXPECT_THAT(notes_.At(2), StartsWith("problem: cannot watch the EndpointSlices of prod/llm at 127.0.0.1"));
  EXPECT_EQ(notes_.At(3), "http://10.0.0.1:8000") << "listed anew";
  EXPECT_EQ(notes_.At(4), "http://10.0.0.1:8000 http://10.0.0.3:8000");
}

TEST_F(KubernetesSourceTest, RefusalsAreToldOnceAndTriedAgain) {
  server_.AnswersLists(403, R"({"kind":"Status","message":"endpointslices is forbidden","code":403})");
  Start();
  EXPECT_THAT(notes_.At(0), HasSubstr("status 403: endpointslices is forbidden"));
  EXPECT_TRUE(server_.asked.WaitForCount(3));
  folder_.Write("token", std::string_view("other"));
  EXPECT_TRUE(server_.asked.WaitUntil([](const auto& asked) { return asked.back() == "list Bearer other"; }))
      << "a token that the cluster has changed";
  server_.Lists(Slice("a", "10.0.0.1"));
  server_.Recovers();
  EXPECT_EQ(notes_.At(1), "http://10.0.0.1:8000");
}

TEST_F(KubernetesSourceTest, AWatchThatIsForbiddenStillLists) {
  server_.Lists(Slice("a", "10.0.0.1"));
  server_.AnswersWatches(403);
  Start();
  EXPECT_EQ(notes_.At(0), "http://10.0.0.1:8000");
  EXPECT_THAT(notes_.At(1), HasSubstr("cannot watch"));
  server_.Lists(Slice("a", "10.0.0.2"));
  EXPECT_EQ(notes_.At(2), "http://10.0.0.2:8000");
  server_.AnswersWatches(410);
  server_.Lists(Slice("a", "10.0.0.3"));
  EXPECT_EQ(notes_.At(3), "http://10.0.0.3:8000");
}

TEST_F(KubernetesSourceTest, AServerOrTokenThatIsNotThereIsAProblem) {
  StartAt("http://127.0.0.1:1");
  EXPECT_THAT(notes_.At(0), StartsWith("problem: cannot list the EndpointSlices of prod/llm at 127.0.0.1:1: "));
  Stop();
  std::filesystem::remove(token_);
  Start();
  EXPECT_THAT(notes_.At(1), HasSubstr("token"));
  EXPECT_TRUE(server_.asked.All().empty());
  folder_.Write("token", std::string_view("late"));
  EXPECT_EQ(server_.asked.At(0), "list Bearer late");
}

TEST(KubernetesService, TakesFromThePodsEnvironmentWhatIsNotGiven) {
  const TemporaryFolder folder;
  folder.Write("namespace", std::string_view("prod\n"));
  const gateway::DiscoveryConfig::Kubernetes config{.service = "llm", .token_file = folder.path() / "token"};
  const auto service = KubernetesService::Of(config, {.service_host = "10.96.0.1", .service_port = "6443"});
  ASSERT_TRUE(service) << service.error().message;
  EXPECT_TRUE(service->is_https);
  EXPECT_EQ(service->api_server.host, "10.96.0.1");
  EXPECT_EQ(service->api_server.port, 6443);
  EXPECT_EQ(service->namespace_name, "prod");
  EXPECT_EQ(KubernetesService::Of(config, {.service_host = "fd00::1"})->api_server.host, "fd00::1");
  EXPECT_THAT(KubernetesService::Of(config, {}).error().message, HasSubstr("api_server"));
}

TEST(KubernetesService, NamesThatAreNoneAreRefused) {
  for (const char* wrong : {"", "a/b", "a b", "a&watch=0", "ä"}) {
    EXPECT_FALSE(KubernetesService::Of({.service = wrong, .namespace_name = "n", .api_server = "http://a:1"}, {})) << wrong;
    EXPECT_FALSE(
        KubernetesService::Of({.service = "s", .namespace_name = "n", .api_server = wrong[0] == 0 ? "http://" : wrong}, {}));
  }
  EXPECT_FALSE(KubernetesService::Of({.service = "s", .api_server = "http://a:1", .token_file = "/nowhere/token"}, {}));
}

}  // namespace
}  // namespace autoglm::discovery
