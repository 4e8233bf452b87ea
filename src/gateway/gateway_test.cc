#include "gateway/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "json/json.h"
#include "support/http_server_fixture.h"
#include "support/raw_http_client.h"
#include "support/raw_http_server.h"
#include "tracing/span.h"

namespace autoglm::gateway {
namespace {

using std::chrono::milliseconds;
using testing::Event;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::RawHttpClient;
using testing::RawHttpServer;
using testing::RawResponse;

using RequestPtr = std::shared_ptr<const http::Request>;
using ExchangePtr = std::shared_ptr<http::Exchange>;

constexpr const char* kAnswer =
    R"({"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}})";

// A server of the fleet, which does what the test says.
class FakeUpstream {
 public:
  explicit FakeUpstream(http::Server::Handler handler = nullptr) {
    server_ = *http::Server::Start({.port = 0}, [this, handler = std::move(handler)](RequestPtr request, ExchangePtr exchange) {
      ++num_requests_;
      if (handler) return handler(std::move(request), std::move(exchange));
      exchange->Send({.headers = {{"content-type", "application/json"}}, .body = kAnswer});
    });
  }

  uint16_t port() const { return server_->port(); }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port()); }
  int num_requests() const { return num_requests_; }
  int64_t num_connections() const { return server_->num_connections(); }
  void Stop() { server_.reset(); }

 private:
  std::atomic<int> num_requests_{0};
  std::unique_ptr<http::Server> server_;
};

void Events(http::Exchange& exchange, int num_events) {
  exchange.Start({.headers = {{"content-type", "text/event-stream"}}});
  for (int i = 0; i < num_events; ++i) exchange.Write("data: {\"choices\":[{\"delta\":{\"content\":\"t\"}}]}\n\n");
}

class GatewayTest : public ::testing::Test {
 protected:
  GatewayTest() {
    config_.listen.port = 0;
    config_.admin.reset();
    config_.threads = 1;
    config_.auth.key_database.reset();
    route_.name = "main";
    route_.probes.path.clear();
    route_.probes.metrics_path.clear();
    route_.probes.models_path.clear();
    route_.policy.name = "round_robin";
    route_.retries.first_delay = milliseconds(1);
  }

  static UpstreamConfig UpstreamAt(const std::string& url) {
    UpstreamConfig upstream{.url = url};
    upstream.spec.name = url;
    return upstream;
  }

  void Start(const std::vector<std::string>& urls) {
    for (const std::string& url : urls) route_.upstreams.push_back(UpstreamAt(url));
    Start();
  }

  void Start() {
    config_.routes.insert(config_.routes.begin(), route_);
    auto gateway = Gateway::Start(config_, options_, Clock::Real());
    ASSERT_TRUE(gateway) << gateway.error().message;
    gateway_ = *std::move(gateway);
  }

  RawHttpClient Connect() { return RawHttpClient(gateway_->port()); }

  static std::string Post(std::string_view body, std::string_view headers = "", std::string_view path = "/v1/chat/completions") {
    return "POST " + std::string(path) + " HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n" + std::string(headers) +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
  }

  RawResponse Ask(std::string_view body = R"({"model":"m","messages":[]})", std::string_view headers = "") {
    RawHttpClient client = Connect();
    client.Send(Post(body, headers));
    return client.ReadResponse();
  }

  static constexpr std::string_view kStream = R"({"model":"m","messages":[],"stream":true})";

  bool MetricIs(const std::string& line) const {
    return gateway_->RenderMetrics(MetricFormat::kPrometheusText).find(line + "\n") != std::string::npos;
  }

  // Of what happens on other threads after an answer.
  template <typename Condition>
  static bool Eventually(const Condition& condition) {
    for (int i = 0; i < 2000 && !condition(); ++i) std::this_thread::sleep_for(milliseconds(1));
    return condition();
  }

  GatewayConfig config_;
  RouteConfig route_;
  GatewayOptions options_;
  std::unique_ptr<Gateway> gateway_;
};

TEST_F(GatewayTest, Request_GoesToAnUpstreamAndBack) {
  std::string seen_body;
  std::string seen_target;
  FakeUpstream upstream([&](const RequestPtr& request, const ExchangePtr& exchange) {
    seen_body = request->body;
    seen_target = request->path + "?" + request->query;
    exchange->Send({.status = 200, .headers = {{"content-type", "application/json"}, {"x-own", "1"}}, .body = kAnswer});
  });
  Start({upstream.url()});
  RawHttpClient client = Connect();
  client.Send(Post(R"({ "model" : "m", "messages":[] })", "X-Request-Id: abc\r\n", "/v1/chat/completions?a=b"));
  RawResponse response = client.ReadResponse();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, kAnswer);
  EXPECT_EQ(response.headers["x-own"], "1");
  EXPECT_EQ(response.headers["x-request-id"], "abc");
  EXPECT_EQ(response.headers["x-gateway-upstream"], upstream.url());
  EXPECT_EQ(response.headers["x-gateway-attempts"], "1");
  EXPECT_EQ(seen_body, R"({ "model" : "m", "messages":[] })");
  EXPECT_EQ(seen_target, "/v1/chat/completions?a=b");
}

TEST_F(GatewayTest, Stream_PassesThroughAsItComes) {
  std::vector<ExchangePtr> exchanges;
  Event arrived;
  FakeUpstream upstream([&](const RequestPtr&, const ExchangePtr& exchange) {
    exchanges.push_back(exchange);
    Events(*exchange, 2);
    arrived.Happen();
  });
  Start({upstream.url()});
  RawHttpClient client = Connect();
  client.Send(Post(kStream));
  ASSERT_TRUE(arrived.Wait());
  ASSERT_TRUE(client.ReadUntil("\"t\"}}]}\n\n"));
  exchanges.front()->Write("data: [DONE]\n\n");
  exchanges.front()->End();
  EXPECT_TRUE(client.ReadUntil("[DONE]\n\n\r\n0\r\n\r\n"));
}

TEST_F(GatewayTest, UpstreamThatIsGone_IsPassedOver) {
  FakeUpstream alive;
  uint16_t dead_port = 0;
  {
    dead_port = RawHttpServer().port();
  }
  Start({"http://127.0.0.1:" + std::to_string(dead_port), alive.url()});
  for (int i = 0; i < 20; ++i) ASSERT_EQ(Ask().status, 200);
  EXPECT_EQ(alive.num_requests(), 20);
  EXPECT_THAT(gateway_->RenderMetrics(MetricFormat::kPrometheusText),
              HasSubstr("autoglm_gw_retries_total{reason=\"connect\",route=\"main\"}"));
}

TEST_F(GatewayTest, Record_HasAttemptsAndStagesThatAddUp) {
  FakeUpstream busy(
      [](const RequestPtr&, const ExchangePtr& exchange) { exchange->Send({.status = 503, .headers = {}, .body = {}}); });
  std::string traceparent;
  std::string trace_id;
  std::string span_id;
  FakeUpstream well([&](const RequestPtr& request, const ExchangePtr& exchange) {
    traceparent = request->Header("traceparent");
    trace_id = request->Header("x-trace-id");
    span_id = request->Header("x-span-id");
    exchange->Send({.status = 200, .headers = {{"content-type", "application/json"}}, .body = kAnswer});
  });
  Start({busy.url(), well.url()});
  const std::string given = "4bf92f3577b34da6a3ce929d0e0e4736";
  const RawResponse response =
      Ask(R"({"model":"m","messages":[]})",
          "x-request-id: r-1\r\nx-autoglm-timing: 1\r\ntraceparent: 00-" + given + "-00f067aa0ba902b7-01\r\n");
  ASSERT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.at("x-trace-id"), given);
  EXPECT_THAT(response.headers.at("server-timing"), HasSubstr("gw_wait;dur="));
  std::optional<RequestRecord> record;
  ASSERT_TRUE(Eventually([&] {
    record = gateway_->requests().Find("r-1");
    return record && record->state == RequestState::kDone;
  }));
  const InternedNames& names = gateway_->requests().names();
  EXPECT_EQ(record->SumOfStages(), record->total_ns);
  ASSERT_EQ(record->num_attempts, 2);
  EXPECT_EQ(names.NameOf(record->attempts[0].upstream), busy.url());
  EXPECT_EQ(names.NameOf(record->attempts[0].reason), "status_503");
  EXPECT_EQ(record->attempts[0].status, 503);
  EXPECT_TRUE(record->attempts[1].is_retry);
  EXPECT_TRUE(record->attempts[1].is_answer);
  EXPECT_GT(record->Of(Stage::kWait), 0);
  EXPECT_GT(record->Of(Stage::kRoute), 0);
  EXPECT_EQ(names.NameOf(record->route), "main");
  EXPECT_EQ(record->parent.Hex(), "00f067aa0ba902b7");
  // The upstream's spans hang on its attempt.
  EXPECT_EQ(span_id, AttemptSpanId(record->span, 1).Hex());
  EXPECT_EQ(trace_id, given);
  EXPECT_EQ(traceparent, "00-" + given + "-" + span_id + "-01");
}

TEST_F(GatewayTest, Refused_LeavesARecordWithItsReason) {
  FakeUpstream upstream;
  Start({upstream.url()});
  EXPECT_EQ(Ask("{", "x-request-id: r-2\r\n").status, 400);
  ASSERT_TRUE(Eventually([&] { return gateway_->requests().Find("r-2").has_value(); }));
  const RequestRecord record = *gateway_->requests().Find("r-2");
  EXPECT_EQ(gateway_->requests().names().NameOf(record.reason), "invalid_request");
  EXPECT_EQ(record.status, 400);
}

TEST_F(GatewayTest, ManyRequestsOfOneThatDies_AllMoveOn) {
  std::mutex mutex;
  std::vector<ExchangePtr> kept;
  FakeUpstream dying([&](const RequestPtr&, const ExchangePtr& exchange) {
    const std::lock_guard lock(mutex);
    kept.push_back(exchange);
  });
  FakeUpstream other;
  Start({dying.url(), other.url()});
  std::vector<RawHttpClient> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(Connect());
    clients.back().Send(Post(R"({"model":"m","messages":[]})"));
  }
  ASSERT_TRUE(Eventually([&] {
    const std::lock_guard lock(mutex);
    return kept.size() == 10;
  }));
  dying.Stop();
  for (RawHttpClient& client : clients) EXPECT_EQ(client.ReadResponse().status, 200);
}

TEST_F(GatewayTest, AnswerThatIsNone_IsAskedForElsewhere) {
  for (const char* garbage :
       {"SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{\"cho",
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\ngarbage", ""}) {
    RawHttpServer bad;
    bad.AnswerAndClose(garbage);
    FakeUpstream good;
    config_.routes.clear();
    route_.upstreams.clear();
    Start({"http://127.0.0.1:" + std::to_string(bad.port()), good.url()});
    for (int i = 0; i < 4; ++i) ASSERT_EQ(Ask().status, 200) << garbage;
    gateway_.reset();
  }
}

TEST_F(GatewayTest, ServerErrors_AreTriedElsewhereButClientErrorsAreNot) {
  int status = 503;
  FakeUpstream bad([&](const RequestPtr&, const ExchangePtr& exchange) { exchange->Send({.status = status, .body = "no"}); });
  FakeUpstream good;
  Start({bad.url(), good.url()});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Ask().status, 200);
  EXPECT_GT(bad.num_requests(), 0);
  status = 400;
  int num_refused = 0;
  for (int i = 0; i < 4; ++i) num_refused += Ask().status == 400 ? 1 : 0;
  EXPECT_EQ(num_refused, 2);
}

TEST_F(GatewayTest, AnswerOfTheLastAttempt_IsWhatTheClientGets) {
  FakeUpstream busy([](const RequestPtr&, const ExchangePtr& exchange) {
    exchange->Send({.status = 429, .headers = {{"retry-after", "3600"}}, .body = "come back"});
  });
  Start({busy.url()});
  RawResponse response = Ask();
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.body, "come back");
  EXPECT_EQ(response.headers["retry-after"], "3600");
  EXPECT_EQ(busy.num_requests(), 1);  // it asked to wait too long
}

TEST_F(GatewayTest, RequestThatDoesMoreThanGenerate_IsNotSentTwice) {
  RawHttpServer first;
  first.AnswerAndClose("");
  FakeUpstream second;
  Start({"http://127.0.0.1:" + std::to_string(first.port()), second.url()});
  int num_failed = 0;
  for (int i = 0; i < 4; ++i) {
    RawHttpClient client = Connect();
    client.Send(Post("{}", "", "/v1/contexts"));
    num_failed += client.ReadResponse().status == 502 ? 1 : 0;
  }
  EXPECT_EQ(num_failed, 2);
  EXPECT_EQ(second.num_requests(), 2);
}

TEST_F(GatewayTest, StreamThatBreaksOff_EndsWithAnError) {
  ExchangePtr kept;
  Event there;
  FakeUpstream upstream([&](const RequestPtr&, const ExchangePtr& exchange) {
    Events(*exchange, 3);
    exchange->Write("data: {\"half");
    kept = exchange;
    there.Happen();
  });
  Start({upstream.url()});
  RawHttpClient client = Connect();
  client.Send(Post(kStream));
  ASSERT_TRUE(there.Wait());
  ASSERT_TRUE(Eventually([&] { return kept->backlog_bytes() == 0; }));
  kept.reset();
  const RawResponse response = client.ReadResponse();
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.body, HasSubstr("data: {\"error\":{"));
  EXPECT_THAT(response.body, HasSubstr("upstream_cut"));
  EXPECT_THAT(response.body, Not(HasSubstr("half")));
  EXPECT_THAT(response.body, Not(HasSubstr("[DONE]")));
}

TEST_F(GatewayTest, StreamThatEndsWithoutAnEnd_IsAnError) {
  FakeUpstream upstream([](const RequestPtr&, const ExchangePtr& exchange) {
    Events(*exchange, 3);
    exchange->End();
  });
  Start({upstream.url()});
  RawHttpClient client = Connect();
  client.Send(Post(kStream));
  EXPECT_THAT(client.ReadResponse().body, HasSubstr("upstream_incomplete"));
}

TEST_F(GatewayTest, StreamOfOurOwnEngine_GoesOnElsewhere) {
  ExchangePtr kept;
  Event there;
  FakeUpstream first([&](const RequestPtr& request, const ExchangePtr& exchange) {
    EXPECT_EQ(request->Header("x-autoglm-resume"), "tokens");
    exchange->Start({.headers = {{"content-type", "text/event-stream"}}});
    exchange->Write(": autoglm-stream {\"id\":\"c1\",\"created\":1,\"seed\":2}\ndata: {\"delta\":{\"content\":\"one \"}}\n\n");
    exchange->Write(": autoglm-tokens 4,5\ndata: {\"choices\":[{\"delta\":{\"content\":\"two \"}}]}\n\n: autoglm-tokens 6\nda");
    kept = exchange;
    there.Happen();
  });
  std::string continued_with;
  FakeUpstream second([&](const RequestPtr& request, const ExchangePtr& exchange) {
    continued_with = request->body;
    exchange->Start({.headers = {{"content-type", "text/event-stream"}}});
    exchange->Write(
        ": autoglm-tokens 6\ndata: {\"choices\":[{\"delta\":{\"content\":\"three\"},\"finish_reason\":\"stop\"}]}\n\ndata: "
        "[DONE]\n\n");
    exchange->End();
  });
  route_.upstreams = {UpstreamAt(first.url()), UpstreamAt(second.url())};
  for (UpstreamConfig& upstream : route_.upstreams) upstream.engine = EngineKind::kAutoglm;
  route_.upstreams.back().spec.weight = 1e-6;  // the other is first
  route_.policy.name = "least_connections";
  Start();
  RawHttpClient client = Connect();
  client.Send(Post(kStream));
  ASSERT_TRUE(there.Wait());
  ASSERT_TRUE(Eventually([&] { return kept->backlog_bytes() == 0; }));
  kept.reset();
  const RawResponse response = client.ReadResponse();
  EXPECT_THAT(response.body, HasSubstr("one "));
  EXPECT_THAT(response.body, HasSubstr("two "));
  EXPECT_THAT(response.body, HasSubstr("three"));
  EXPECT_THAT(response.body, Not(HasSubstr("error")));
  EXPECT_THAT(response.body, Not(HasSubstr("autoglm-")));
  EXPECT_THAT(continued_with,
              HasSubstr(R"({"autoglm_continue":{"id":"c1","created":1,"seed":2,"token_ids":[4,5],"text_bytes":8},"model":"m")"));
}

TEST_F(GatewayTest, EngineThatSaysItIsShuttingDown_IsGoneOnWithoutToo) {
  FakeUpstream first([](const RequestPtr&, const ExchangePtr& exchange) {
    exchange->Start({.headers = {{"content-type", "text/event-stream"}}});
    exchange->Write(": autoglm-stream {\"id\":\"c1\"}\ndata: {\"delta\":{\"content\":\"one \"}}\n\n");
    exchange->Write("data: {\"error\":{\"message\":\"shutting down\"}}\n\n");
    exchange->End();
  });
  FakeUpstream second([](const RequestPtr&, const ExchangePtr& exchange) {
    exchange->Start({.headers = {{"content-type", "text/event-stream"}}});
    exchange->Write("data: {\"choices\":[{\"delta\":{\"content\":\"two\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
    exchange->End();
  });
  route_.upstreams = {UpstreamAt(first.url()), UpstreamAt(second.url())};
  for (UpstreamConfig& upstream : route_.upstreams) upstream.engine = EngineKind::kAutoglm;
  route_.upstreams.back().spec.weight = 1e-6;
  route_.policy.name = "least_connections";
  Start();
  RawHttpClient client = Connect();
  client.Send(Post(kStream));
  const RawResponse response = client.ReadResponse();
  EXPECT_THAT(response.body, HasSubstr("two"));
  EXPECT_THAT(response.body, Not(HasSubstr("shutting down")));
}

TEST_F(GatewayTest, ClientsCannotContinueWhatTheyDidNotBegin) {
  FakeUpstream upstream;
  Start({upstream.url()});
  EXPECT_EQ(Ask(R"({"model":"m","autoglm_continue":{"token_ids":[1]}})").status, 400);
  EXPECT_EQ(upstream.num_requests(), 0);
}

TEST_F(GatewayTest, ClientThatLeaves_IsToldUpstream) {
  for (const std::string_view body : {kStream, std::string_view(R"({"model":"m","messages":[]})")}) {
    Event gone;
    Event there;
    FakeUpstream upstream([&](const RequestPtr&, const ExchangePtr& exchange) {
      exchange->OnClientGone([&, exchange] { gone.Happen(); });
      there.Happen();
    });
    config_.routes.clear();
    route_.upstreams.clear();
    Start({upstream.url()});
    {
      RawHttpClient client = Connect();
      client.Send(Post(body));
      ASSERT_TRUE(there.Wait());
    }
    EXPECT_TRUE(gone.Wait());
    EXPECT_TRUE(Eventually([this] { return MetricIs("autoglm_gw_open_requests 0"); }));
    EXPECT_TRUE(MetricIs(R"(autoglm_gw_http_requests_total{code="499",route="main"} 1)"));
    gateway_.reset();
  }
}

TEST_F(GatewayTest, SlowFirstToken_IsHelpedByASecondUpstream) {
  std::atomic<bool> is_slow{false};
  std::vector<ExchangePtr> kept;
  Event gone;
  FakeUpstream slow([&](const RequestPtr&, const ExchangePtr& exchange) {
    if (!is_slow) return exchange->Send({.headers = {{"content-type", "application/json"}}, .body = kAnswer});
    exchange->OnClientGone([&, exchange] { gone.Happen(); });
  });
  FakeUpstream quick;
  route_.hedging = resilience::HedgeOptions{.max_share = 1, .min_count = 5};
  Start({slow.url(), quick.url()});
  for (int i = 0; i < 12; ++i) ASSERT_EQ(Ask().status, 200);
  is_slow = true;
  for (int i = 0; i < 2; ++i) ASSERT_EQ(Ask().status, 200);
  EXPECT_TRUE(gone.Wait());
  EXPECT_THAT(gateway_->RenderMetrics(MetricFormat::kPrometheusText),
              HasSubstr("autoglm_gw_hedges_total{outcome=\"won\",route=\"main\"}"));
}

TEST_F(GatewayTest, TimeoutBeforeTheFirstToken_TriesAnother) {
  FakeUpstream silent([](const RequestPtr&, const ExchangePtr& exchange) { exchange->OnClientGone([exchange] {}); });
  FakeUpstream good;
  route_.timeouts.first_token = milliseconds(30);
  Start({silent.url(), good.url()});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Ask().status, 200);
}

TEST_F(GatewayTest, TimeoutOfTheWholeRequest_IsA504) {
  FakeUpstream silent([](const RequestPtr&, const ExchangePtr& exchange) { exchange->OnClientGone([exchange] {}); });
  Start({silent.url()});
  RawResponse response = Ask(R"({"model":"m","messages":[]})", "X-Request-Timeout: 0.03\r\n");
  EXPECT_EQ(response.status, 504);
  EXPECT_THAT(response.body, HasSubstr("upstream_total_timeout"));
}

TEST_F(GatewayTest, BusyUpstream_IsWaitedForInLine) {
  std::vector<ExchangePtr> kept;
  std::mutex mutex;
  FakeUpstream upstream([&](const RequestPtr&, const ExchangePtr& exchange) {
    const std::lock_guard lock(mutex);
    kept.push_back(exchange);
  });
  const auto num_kept = [&] {
    const std::lock_guard lock(mutex);
    return kept.size();
  };
  const auto answer_next = [&] {
    const std::lock_guard lock(mutex);
    kept.front()->Send({.headers = {{"content-type", "application/json"}}, .body = kAnswer});
    kept.erase(kept.begin());
  };
  route_.upstreams = {UpstreamAt(upstream.url())};
  route_.upstreams.front().max_inflight = 1;
  route_.queue.max_requests = 1;
  Start();
  RawHttpClient first = Connect();
  first.Send(Post(R"({"model":"m","messages":[]})"));
  ASSERT_TRUE(Eventually([&] { return num_kept() == 1; }));
  RawHttpClient second = Connect();
  second.Send(Post(R"({"model":"m","messages":[]})"));
  ASSERT_TRUE(Eventually([this] { return MetricIs("autoglm_gw_queue_depth{route=\"main\"} 1"); }));
  RawResponse third = Ask();
  EXPECT_EQ(third.status, 429);
  EXPECT_NE(third.headers["retry-after"], "");
  answer_next();
  EXPECT_EQ(first.ReadResponse().status, 200);
  ASSERT_TRUE(Eventually([&] { return num_kept() == 1; }));
  answer_next();
  EXPECT_EQ(second.ReadResponse().status, 200);
}

TEST_F(GatewayTest, RouteWithoutUpstreams_HoldsRequestsUntilThereIsOne) {
  FakeUpstream late;
  route_.queue.max_wait_for_upstream = milliseconds(10'000);
  Start();
  RawHttpClient client = Connect();
  client.Send(Post(R"({"model":"m","messages":[]})"));
  ASSERT_TRUE(Eventually([this] { return MetricIs("autoglm_gw_queue_depth{route=\"main\"} 1"); }));
  GatewayConfig next = config_;
  next.routes.front().upstreams = {UpstreamAt(late.url())};
  ASSERT_TRUE(gateway_->Reload(next));
  EXPECT_EQ(client.ReadResponse().status, 200);
}

TEST_F(GatewayTest, NobodyToAsk_FallsBackToAnotherRoute) {
  FakeUpstream small;
  RouteConfig other = route_;
  other.name = "small";
  other.match.headers = {{"x-never", "1"}};
  other.rewrite_model = "small \"model\"";
  other.upstreams = {UpstreamAt(small.url())};
  config_.routes.push_back(other);
  route_.fallback = {"small"};
  Start();
  RawResponse response = Ask();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers["x-gateway-route"], "small");
  EXPECT_EQ(response.headers["x-degraded"], "fallback:small");
}

TEST_F(GatewayTest, Mirror_GetsACopyThatNobodyWaitsFor) {
  FakeUpstream upstream;
  Event mirrored;
  FakeUpstream shadow([&](const RequestPtr& request, const ExchangePtr& exchange) {
    EXPECT_EQ(request->Header("x-gateway-mirror"), "1");
    exchange->OnClientGone([exchange] {});
    mirrored.Happen();
  });
  RouteConfig other = route_;
  other.name = "shadow";
  other.match.headers = {{"x-never", "1"}};
  other.upstreams = {UpstreamAt(shadow.url())};
  config_.routes.push_back(other);
  route_.mirrors = {{.route = "shadow"}};
  Start({upstream.url()});
  EXPECT_EQ(Ask().status, 200);
  EXPECT_TRUE(mirrored.Wait());
}

TEST_F(GatewayTest, Faults_AreInjectedWhereTheyAreAllowed) {
  FakeUpstream upstream;
  config_.faults = {
      {.name = "refuse", .headers = {{"x-test", "abort"}}, .abort_status = 418},
      {.name = "slow", .headers = {{"x-test", "slow"}}, .delay = milliseconds(30), .first_token_delay = milliseconds(30)}};
  options_.allows_faults = true;
  Start({upstream.url()});
  EXPECT_EQ(Ask().status, 200);
  RawResponse aborted = Ask(R"({"model":"m"})", "X-Test: abort\r\n");
  EXPECT_EQ(aborted.status, 418);
  EXPECT_EQ(aborted.headers["x-gateway-fault"], "refuse");
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(Ask(R"({"model":"m"})", "X-Test: slow\r\n").status, 200);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, milliseconds(60));
  EXPECT_TRUE(MetricIs("autoglm_gw_fault_injected_total{fault=\"refuse\"} 1"));
}

TEST_F(GatewayTest, Faults_DoNothingWhereTheyAreNotAllowed) {
  FakeUpstream upstream;
  config_.faults = {{.name = "refuse", .abort_status = 500}};
  Start({upstream.url()});
  EXPECT_EQ(Ask().status, 200);
}

TEST_F(GatewayTest, CutFault_BreaksTheStreamVisibly) {
  FakeUpstream upstream([](const RequestPtr&, const ExchangePtr& exchange) {
    Events(*exchange, 10);
    exchange->Write("data: [DONE]\n\n");
    exchange->End();
  });
  config_.faults = {{.name = "cut", .cut_after_events = 0}};
  options_.allows_faults = true;
  Start({upstream.url()});
  RawHttpClient client = Connect();
  client.Send(Post(kStream));
  EXPECT_THAT(client.ReadToEnd(), Not(HasSubstr("\r\n0\r\n\r\n")));
  EXPECT_TRUE(Eventually([this] { return MetricIs("autoglm_gw_open_requests 0"); }));
}

TEST_F(GatewayTest, TokenDelay_SpreadsTheStream) {
  FakeUpstream upstream([](const RequestPtr&, const ExchangePtr& exchange) {
    exchange->Start({.headers = {{"content-type", "text/event-stream"}}});
    for (int i = 0; i < 4; ++i) exchange->Write("data: x\n\n");
    exchange->Write("data: [DONE]\n\n");
    exchange->End();
  });
  config_.faults = {{.name = "drip", .token_delay = milliseconds(10)}};
  options_.allows_faults = true;
  Start({upstream.url()});
  RawHttpClient client = Connect();
  client.Send(Post(kStream));
  EXPECT_THAT(client.ReadResponse().body, HasSubstr("data: x\n\ndata: x\n\ndata: x\n\ndata: x\n\ndata: [DONE]\n\n"));
}

TEST_F(GatewayTest, Refusals_HaveAReasonAndAreCounted) {
  FakeUpstream upstream;
  Start({upstream.url()});
  EXPECT_EQ(Ask("{nonsense").status, 400);
  EXPECT_EQ(Ask(R"({"model":"a","model":"b"})").status, 400);
  EXPECT_EQ(Ask(R"({"model":"a","cache_salt":"x"})").status, 400);
  RawHttpClient client = Connect();
  client.Send("GET /v1/%2e%2e/admin HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(client.ReadResponse().status, 400);
  EXPECT_EQ(upstream.num_requests(), 0);
  EXPECT_TRUE(MetricIs("autoglm_gw_refused_total{reason=\"invalid_request\"} 3"));
  EXPECT_TRUE(MetricIs("autoglm_gw_refused_total{reason=\"path\"} 1"));
}

TEST_F(GatewayTest, Drain_FinishesWhatRunsAndSaysThatItIsNotReady) {
  Event there;
  ExchangePtr kept;
  FakeUpstream upstream([&](const RequestPtr&, const ExchangePtr& exchange) {
    kept = exchange;
    there.Happen();
  });
  Start({upstream.url()});
  RawHttpClient client = Connect();
  client.Send(Post(R"({"model":"m","messages":[]})"));
  ASSERT_TRUE(there.Wait());
  gateway_->BeginDrain();
  EXPECT_FALSE(gateway_->WaitUntilDrained(milliseconds(10)));
  kept->Send({.headers = {{"content-type", "application/json"}}, .body = kAnswer});
  EXPECT_EQ(client.ReadResponse().status, 200);
  EXPECT_TRUE(gateway_->WaitUntilDrained(milliseconds(5'000)));
}

TEST_F(GatewayTest, Reload_KeepsWhatIsKnownAndStreamsThatRun) {
  Event there;
  ExchangePtr kept;
  FakeUpstream first([&](const RequestPtr&, const ExchangePtr& exchange) {
    Events(*exchange, 1);
    kept = exchange;
    there.Happen();
  });
  FakeUpstream second;
  Start({first.url()});
  RawHttpClient client = Connect();
  client.Send(Post(kStream));
  ASSERT_TRUE(there.Wait());
  ASSERT_TRUE(client.ReadUntil("data"));
  GatewayConfig next = config_;
  next.routes.front().upstreams = {UpstreamAt(second.url())};
  next.limits.max_body_bytes = 5;
  const auto needs_restart = gateway_->Reload(next);
  ASSERT_TRUE(needs_restart);
  EXPECT_THAT(*needs_restart, ::testing::ElementsAre("limits"));
  EXPECT_EQ(Ask().status, 200);
  EXPECT_EQ(second.num_requests(), 1);
  kept->Write("data: [DONE]\n\n");
  kept->End();
  EXPECT_TRUE(client.ReadUntil("[DONE]\n\n\r\n0\r\n\r\n"));
}

TEST_F(GatewayTest, ReloadThatFails_ChangesNothing) {
  FakeUpstream upstream;
  Start({upstream.url()});
  GatewayConfig broken = config_;
  broken.routes.front().upstreams.front().url = "nonsense";
  broken.routes.front().upstreams.front().spec.name = "other";
  broken.routes.front().policy.name = "no such policy";
  EXPECT_FALSE(gateway_->Reload(broken));
  EXPECT_EQ(Ask().status, 200);
}

TEST_F(GatewayTest, AddressAnybodyCanReach_NeedsKeys) {
  config_.listen.host = "0.0.0.0";
  config_.routes = {route_};
  const auto gateway = Gateway::Start(config_, {}, Clock::Real());
  ASSERT_FALSE(gateway);
  EXPECT_THAT(gateway.error().message, HasSubstr("keys"));
}

TEST_F(GatewayTest, ManyRequestsWhileUpstreamsDieAndComeBack_AllSucceed) {
  auto first = std::make_unique<FakeUpstream>();
  FakeUpstream second;
  Start({first->url(), second.url()});
  std::atomic<bool> is_over{false};
  std::atomic<int> num_failed{0};
  constexpr int kClients = 4;
  std::vector<std::thread> clients;
  clients.reserve(kClients);
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&] {
      RawHttpClient client = Connect();
      while (!is_over) {
        client.Send(Post(R"({"model":"m","messages":[]})"));
        if (client.ReadResponse().status != 200) ++num_failed;
      }
    });
  }
  std::this_thread::sleep_for(milliseconds(50));
  first->Stop();
  std::this_thread::sleep_for(milliseconds(50));
  is_over = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(num_failed, 0);
}

}  // namespace
}  // namespace autoglm::gateway
