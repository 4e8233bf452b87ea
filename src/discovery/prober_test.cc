#include "discovery/prober.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <optional>

#include "http/server.h"
#include "support/notebook.h"

namespace autoglm::discovery {
namespace {

using autoglm::testing::Notebook;
using std::chrono::milliseconds;

struct Told {
  std::string what;  // "well", "unwell", "report", "round trip"
  std::string name;
  routing::UpstreamReport report;
  Duration round_trip{};
};

// A server whose answers a test decides, and which remembers what it was asked.
class AnyServer {
 public:
  using Handler = http::Server::Handler;
  explicit AnyServer(Handler handler) {
    server_ = *http::Server::Start({.port = 0}, [this, handler = std::move(handler)](const auto& request, const auto& exchange) {
      asked.Write(request->path + " " + std::string(request->Header("authorization")));
      handler(request, exchange);
    });
  }
  uint16_t port() const { return server_->port(); }

  Notebook<std::string> asked;

 private:
  std::unique_ptr<http::Server> server_;
};

class ProberTest : public ::testing::Test {
 protected:
  ~ProberTest() override {
    thread_.RunAndWait([this] {
      prober_.reset();
      client_.reset();
    });
  }

  void Start(gateway::ProbeConfig config) {
    const auto tell = [this](Told told) { told_.Write(std::move(told)); };
    const ProbeHooks hooks{
        .on_probe = [tell](const std::string& name, bool is_well) { tell({.what = is_well ? "well" : "unwell", .name = name}); },
        .on_report = [tell](const std::string& name,
                            const auto& report) { tell({.what = "report", .name = name, .report = report}); },
        .on_round_trip = [tell](const std::string& name,
                                Duration time) { tell({.what = "round trip", .name = name, .round_trip = time}); }};
    thread_.RunAndWait([&] {
      client_.emplace(thread_.loop());
      prober_.emplace(thread_.loop(), *client_, config, hooks, 1);
    });
  }
  void SetUpstreams(const std::vector<ProbeTarget>& targets) {
    thread_.RunAndWait([&] { prober_->SetUpstreams(targets); });
  }
  static ProbeTarget Target(const std::string& name, uint16_t port) {
    return {.name = name, .origin = *http::Origin::Parse("http://127.0.0.1:" + std::to_string(port))};
  }
  static gateway::ProbeConfig HealthOnly() {
    return {.interval = milliseconds(5), .timeout = milliseconds(5000), .metrics_path = ""};
  }
  int64_t Count(std::string_view what, std::string_view name = "a") const {
    const std::vector<Told> all = told_.All();
    return std::ranges::count_if(all, [&](const Told& told) { return told.what == what && told.name == name; });
  }
  bool WaitForCount(int64_t count, std::string_view what, std::string_view name = "a") const {
    return told_.WaitUntil([&](const std::vector<Told>& all) {
      return std::ranges::count_if(all, [&](const Told& told) { return told.what == what && told.name == name; }) >= count;
    });
  }

  http::LoopThread thread_;
  std::optional<http::Client> client_;
  std::optional<Prober> prober_;
  Notebook<Told> told_;
};

TEST_F(ProberTest, TwoHundredsAreWellAndAllElseIsNot) {
  std::atomic<int> status = 200;
  AnyServer server([&](const auto&, const auto& exchange) { exchange->Send({.status = status}); });
  Start(HealthOnly());
  SetUpstreams({Target("a", server.port())});
  EXPECT_TRUE(WaitForCount(3, "well"));
  EXPECT_EQ(Count("unwell"), 0);
  status = 503;
  EXPECT_TRUE(WaitForCount(2, "unwell"));
  status = 204;
  const int64_t num_well = Count("well");
  EXPECT_TRUE(WaitForCount(num_well + 1, "well"));
  EXPECT_EQ(server.asked.At(0), "/health ");
}

TEST_F(ProberTest, SilenceAndClosedPortsAreUnwell) {
  AnyServer silent([](const auto&, const auto& exchange) { exchange->OnClientGone([exchange] {}); });
  gateway::ProbeConfig config = HealthOnly();
  config.timeout = milliseconds(20);
  uint16_t closed_port = 0;
  {
    const AnyServer closed([](const auto&, const auto&) {});
    closed_port = closed.port();
  }
  Start(config);
  SetUpstreams({Target("silent", silent.port()), Target("closed", closed_port)});
  EXPECT_TRUE(WaitForCount(2, "unwell", "silent"));
  EXPECT_TRUE(WaitForCount(2, "unwell", "closed"));
}

TEST_F(ProberTest, RoundTripsAreThoseOfKeptConnections) {
  AnyServer server([](const auto&, const auto& exchange) { exchange->Send({}); });
  Start(HealthOnly());
  SetUpstreams({Target("a", server.port())});
  ASSERT_TRUE(WaitForCount(2, "round trip"));
  const std::vector<Told> all = told_.All();
  EXPECT_EQ(all.front().what, "well") << "the first has to connect";
  for (const Told& told : all) {
    EXPECT_TRUE(told.what != "round trip" || told.round_trip > Duration::zero());
  }
}

TEST_F(ProberTest, AKeptConnectionThatIsCutIsNoFailure) {
  std::atomic<int> num_asked = 0;
  AnyServer server([&](const auto&, const auto& exchange) {
    // The third is given up: its connection, which was kept, is closed.
    ++num_asked == 3 ? exchange->Start({}) : exchange->Send({});
  });
  Start(HealthOnly());
  SetUpstreams({Target("a", server.port())});
  EXPECT_TRUE(WaitForCount(5, "well"));
  EXPECT_EQ(Count("unwell"), 0);
  EXPECT_GE(num_asked, 6);
}

TEST_F(ProberTest, MetricsBecomeReports) {
  AnyServer server([](const auto& request, const auto& exchange) {
    exchange->Send({.body = request->path == "/metrics" ? "vllm:num_requests_running 3\nvllm:num_requests_waiting 4\n" : ""});
  });
  Start({.interval = milliseconds(5), .timeout = milliseconds(5000), .metrics_interval = milliseconds(5)});
  ProbeTarget target = Target("a", server.port());
  target.api_key = "secret";
  SetUpstreams({target});
  ASSERT_TRUE(WaitForCount(2, "report"));
  EXPECT_TRUE(WaitForCount(2, "well"));
  for (const Told& told : told_.All()) {
    EXPECT_TRUE(told.what != "report" || told.report.num_waiting == 4);
  }
  for (const std::string& asked : server.asked.All()) EXPECT_THAT(asked, ::testing::HasSubstr("Bearer secret"));
}

TEST_F(ProberTest, WhoHasNoMetricsIsAskedForThemRarely) {
  AnyServer server(
      [](const auto& request, const auto& exchange) { exchange->Send({.status = request->path == "/health" ? 200 : 404}); });
  Start({.interval = milliseconds(2), .timeout = milliseconds(5000), .metrics_interval = milliseconds(2)});
  SetUpstreams({Target("a", server.port())});
  ASSERT_TRUE(WaitForCount(30, "well"));
  const std::vector<std::string> asked = server.asked.All();
  EXPECT_EQ(std::ranges::count(asked, "/metrics "), 1);
  EXPECT_EQ(Count("report"), 0);
}

TEST_F(ProberTest, OnlyThoseOfTheListAreAsked) {
  AnyServer server([](const auto&, const auto& exchange) { exchange->Send({}); });
  AnyServer other([](const auto&, const auto& exchange) { exchange->Send({}); });
  Start(HealthOnly());
  SetUpstreams({Target("a", server.port())});
  ASSERT_TRUE(WaitForCount(1, "well"));
  SetUpstreams({Target("b", other.port())});
  const int64_t num_before = Count("well");
  ASSERT_TRUE(WaitForCount(10, "well", "b"));
  EXPECT_EQ(Count("well"), num_before);
  SetUpstreams({Target("b", server.port())});
  const size_t num_asked = server.asked.All().size();
  EXPECT_TRUE(server.asked.WaitForCount(num_asked + 3)) << "it is somewhere else now";
  SetUpstreams({});
}

}  // namespace
}  // namespace autoglm::discovery
