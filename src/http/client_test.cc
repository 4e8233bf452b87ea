#include "http/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "http/server.h"
#include "support/raw_http_server.h"

namespace autoglm::http {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using testing::RawHttpServer;

// What a call brought, in order.
class Recorder : public ResponseReceiver {
 public:
  void OnHead(ResponseHead head) override { head_ = std::move(head); }
  void OnBody(std::string_view bytes) override {
    body_.append(bytes);
    if (on_body) on_body();
  }
  void OnEnd() override { done_.set_value(std::nullopt); }
  void OnFailure(const ClientError& error) override { done_.set_value(error); }

  std::optional<ClientError> Wait() { return done_.get_future().get(); }
  const ResponseHead& head() const { return head_; }
  const std::string& body() const { return body_; }

  std::function<void()> on_body;

 private:
  ResponseHead head_;
  std::string body_;
  std::promise<std::optional<ClientError>> done_;
};

class ClientTest : public ::testing::Test {
 protected:
  ClientTest() {
    thread_.RunAndWait([this] { client_.emplace(thread_.loop()); });
  }
  ~ClientTest() override {
    thread_.RunAndWait([this] {
      calls_.clear();
      client_.reset();
    });
  }

  // The call lives until the test ends.
  void Send(uint16_t port, Recorder& recorder, ClientRequest request = {}) {
    thread_.RunAndWait([&] { calls_.push_back(client_->Send(OriginOf(port), std::move(request), recorder)); });
  }
  Recorder& Exchange(uint16_t port, ClientRequest request = {}) {
    recorders_.push_back(std::make_unique<Recorder>());
    Send(port, *recorders_.back(), std::move(request));
    failure_ = recorders_.back()->Wait();
    return *recorders_.back();
  }
  static Origin OriginOf(uint16_t port) { return *Origin::Parse("http://127.0.0.1:" + std::to_string(port)); }
  int64_t NumIdle() {
    int64_t num_idle = 0;
    thread_.RunAndWait([&] { num_idle = client_->num_idle(); });
    return num_idle;
  }
  bool WasReused(size_t call) {
    bool was_reused = false;
    thread_.RunAndWait([&] { was_reused = calls_[call]->was_connection_reused(); });
    return was_reused;
  }

  LoopThread thread_;
  std::optional<Client> client_;
  std::vector<std::unique_ptr<ClientCall>> calls_;
  std::vector<std::unique_ptr<Recorder>> recorders_;
  std::optional<ClientError> failure_;
};

std::unique_ptr<Server> ServeEcho() {
  return *Server::Start(
      {.port = 0}, [](const std::shared_ptr<const Request>& request, const std::shared_ptr<http::Exchange>& exchange) {
        exchange->Send(
            {.status = 201,
             .headers = {{"x-seen", std::string(request->Header("x-given"))}, {"x-host", std::string(request->Header("host"))}},
             .body = request->method + " " + request->path + "?" + request->query + " " + request->body});
      });
}

TEST_F(ClientTest, RequestAndAnswer_ArriveWhole) {
  const auto server = ServeEcho();
  ClientRequest request{.method = "POST", .target = "/a/b?c=d", .body = std::make_shared<const std::string>(100'000, 'x')};
  request.headers.Add("x-given", "one\r\nevil: two");
  Recorder& answer = Exchange(server->port(), std::move(request));
  ASSERT_FALSE(failure_) << failure_->message;
  EXPECT_EQ(answer.head().status, 201);
  EXPECT_EQ(answer.head().Header("x-seen"), "one  evil: two");
  EXPECT_EQ(answer.head().Header("x-host"), "127.0.0.1:" + std::to_string(server->port()));
  EXPECT_EQ(answer.head().Header("content-length"), "");
  EXPECT_EQ(answer.body(), "POST /a/b?c=d " + std::string(100'000, 'x'));
}

TEST_F(ClientTest, TargetThatHoldsALineBreak_StaysOneLine) {
  const auto server = ServeEcho();
  EXPECT_EQ(Exchange(server->port(), {.target = "/a b\r\nx: y"}).body(), "GET /a%20b%0D%0Ax:%20y? ");
}

TEST_F(ClientTest, Connection_IsKeptAndUsedAgain) {
  const auto server = ServeEcho();
  for (int i = 0; i < 5; ++i) Exchange(server->port());
  EXPECT_EQ(server->num_connections(), 1);
  EXPECT_EQ(NumIdle(), 1);
  EXPECT_FALSE(WasReused(0));
  EXPECT_TRUE(WasReused(4));
}

TEST_F(ClientTest, RequestsAtTheSameTime_HaveConnectionsOfTheirOwn) {
  std::vector<std::shared_ptr<http::Exchange>> waiting;
  std::promise<void> all_there;
  const auto server = *Server::Start({.port = 0}, [&](const auto&, const auto& exchange) {
    waiting.push_back(exchange);
    if (waiting.size() == 3) all_there.set_value();
  });
  std::vector<Recorder> recorders(3);
  for (Recorder& recorder : recorders) Send(server->port(), recorder);
  all_there.get_future().wait();
  for (const auto& exchange : waiting) exchange->Send({});
  for (Recorder& recorder : recorders) EXPECT_FALSE(recorder.Wait());
  EXPECT_EQ(NumIdle(), 3);
}

TEST_F(ClientTest, StreamedBody_ComesWithoutItsChunks) {
  const auto server = *Server::Start({.port = 0}, [](const auto&, const auto& exchange) {
    exchange->Start({.headers = {{"content-type", "text/event-stream"}}});
    for (int i = 0; i < 100; ++i) exchange->Write("data: " + std::to_string(i) + "\n\n");
    exchange->End();
  });
  Recorder& answer = Exchange(server->port());
  std::string expected;
  for (int i = 0; i < 100; ++i) expected += "data: " + std::to_string(i) + "\n\n";
  EXPECT_EQ(answer.body(), expected);
  EXPECT_EQ(answer.head().Header("transfer-encoding"), "");
  EXPECT_EQ(NumIdle(), 1);
}

TEST_F(ClientTest, AnswerInSmallestPieces_IsPutTogether) {
  RawHttpServer server;
  server.Answer("HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
                RawHttpServer::Pieces::kSingleBytes);
  Recorder& answer = Exchange(server.port());
  ASSERT_FALSE(failure_);
  EXPECT_EQ(answer.head().Header("x-a"), "b");
  EXPECT_EQ(answer.body(), "hello!");
}

TEST_F(ClientTest, AnswerWithoutLength_EndsWithTheConnection) {
  RawHttpServer server;
  server.AnswerAndClose("HTTP/1.1 200 OK\r\n\r\nall there is");
  EXPECT_EQ(Exchange(server.port()).body(), "all there is");
  EXPECT_FALSE(failure_);
  EXPECT_EQ(NumIdle(), 0);
}

TEST_F(ClientTest, InterimAnswers_ArePassedOver) {
  RawHttpServer server;
  server.Answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(Exchange(server.port()).head().status, 204);
  EXPECT_FALSE(failure_);
}

TEST_F(ClientTest, HeadRequest_HasNoBody) {
  RawHttpServer server;
  server.Answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
  EXPECT_EQ(Exchange(server.port(), {.method = "HEAD"}).body(), "");
  EXPECT_FALSE(failure_);
}

TEST_F(ClientTest, BytesBehindAnAnswer_EndTheConnection) {
  RawHttpServer server;
  server.Answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
  EXPECT_EQ(Exchange(server.port()).body(), "ok");
  EXPECT_EQ(NumIdle(), 0);
}

TEST_F(ClientTest, KeptConnectionThatTheServerCloses_IsForgotten) {
  RawHttpServer server;
  server.Answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  Exchange(server.port());
  server.CloseConnections();
  while (NumIdle() > 0) std::this_thread::yield();
}

TEST_F(ClientTest, KeptConnectionThatIsClosedInsteadOfAnAnswer_IsSaidToBeStale) {
  RawHttpServer server;
  server.Answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  Exchange(server.port());
  server.AnswerAndClose("");
  Exchange(server.port());
  ASSERT_TRUE(failure_);
  EXPECT_EQ(failure_->failure, ClientFailure::kClosedIdle);
}

TEST_F(ClientTest, Failures_SayWhatHappened) {
  struct Case {
    std::string answer;
    ClientFailure failure;
  };
  const std::vector<Case> cases = {
      {"", ClientFailure::kClosed},
      {"HTTP/1.1 200 OK\r\nContent-Le", ClientFailure::kClosed},
      {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", ClientFailure::kCut},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", ClientFailure::kCut},
      {"SSH-2.0-OpenSSH_9.2\r\n", ClientFailure::kMalformed},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", ClientFailure::kMalformed},
      {"HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'x') + "\r\n\r\n", ClientFailure::kMalformed},
  };
  for (const Case& one : cases) {
    RawHttpServer server;
    server.AnswerAndClose(one.answer);
    Exchange(server.port());
    ASSERT_TRUE(failure_) << one.answer;
    EXPECT_EQ(ClientFailureName(failure_->failure), ClientFailureName(one.failure)) << one.answer;
    EXPECT_THAT(failure_->message, HasSubstr("127.0.0.1:" + std::to_string(server.port())));
  }
}

TEST_F(ClientTest, NobodyListens_IsNeverSent) {
  uint16_t port = 0;
  {
    port = RawHttpServer().port();
  }
  Exchange(port);
  ASSERT_TRUE(failure_);
  EXPECT_EQ(failure_->failure, ClientFailure::kConnect);
  EXPECT_TRUE(WasNeverSent(failure_->failure));
}

TEST_F(ClientTest, NameThatIsNone_IsNeverSent) {
  Recorder recorder;
  thread_.RunAndWait([&] { calls_.push_back(client_->Send(*Origin::Parse("http://no-such-name.invalid:80"), {}, recorder)); });
  const auto failure = recorder.Wait();
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->failure, ClientFailure::kConnect);
}

TEST_F(ClientTest, Timeouts_EndWhatIsTooSlow) {
  struct Case {
    std::string answer;
    ClientTimeouts timeouts;
    ClientFailure failure;
  };
  const std::vector<Case> cases = {
      {"", {.first_byte = milliseconds(30)}, ClientFailure::kFirstByteTimeout},
      {"HTTP/1.1 200 OK\r\nX: y\r\n", {.first_byte = milliseconds(30)}, ClientFailure::kFirstByteTimeout},
      {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
       {.first_byte = milliseconds(5'000), .between_bytes = milliseconds(30)},
       ClientFailure::kBetweenBytesTimeout},
      {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
       {.between_bytes = milliseconds(10'000), .total = milliseconds(40)},
       ClientFailure::kTotalTimeout},
  };
  for (const Case& one : cases) {
    RawHttpServer server;
    server.Answer(one.answer);
    Exchange(server.port(), {.timeouts = one.timeouts});
    ASSERT_TRUE(failure_);
    EXPECT_EQ(ClientFailureName(failure_->failure), ClientFailureName(one.failure));
  }
}

TEST_F(ClientTest, CallThatIsDestroyed_ClosesItsConnection) {
  std::promise<void> gone;
  std::promise<void> there;
  std::shared_ptr<http::Exchange> kept;
  const auto server = *Server::Start({.port = 0}, [&](const auto&, const auto& exchange) {
    kept = exchange;
    exchange->OnClientGone([&] { gone.set_value(); });
    there.set_value();
  });
  Recorder recorder;
  Send(server->port(), recorder);
  there.get_future().wait();
  thread_.RunAndWait([this] { calls_.clear(); });
  gone.get_future().wait();
  kept.reset();
}

TEST_F(ClientTest, ReceiverThatEndsItsCallWithinTheBody_HearsNothingMore) {
  const auto server = *Server::Start({.port = 0}, [](const auto&, const auto& exchange) {
    exchange->Start({});
    exchange->Write("first");
    exchange->End();
  });
  Recorder recorder;
  std::promise<void> ended;
  recorder.on_body = [&] {
    calls_.clear();
    ended.set_value();
  };
  Send(server->port(), recorder);
  ended.get_future().wait();
  EXPECT_EQ(NumIdle(), 0);
}

TEST_F(ClientTest, PausedCall_GetsNoBodyUntilItIsResumed) {
  const std::string body(8 << 20, 'b');
  const auto server = *Server::Start({.port = 0}, [&](const auto&, const auto& exchange) { exchange->Send({.body = body}); });
  Recorder recorder;
  std::promise<void> first;
  bool is_first = true;
  recorder.on_body = [&] {
    if (!std::exchange(is_first, false)) return;
    calls_.front()->Pause();
    first.set_value();
  };
  Send(server->port(), recorder);
  first.get_future().wait();
  size_t num_bytes = 0;
  thread_.RunAndWait([&] { num_bytes = recorder.body().size(); });
  thread_.RunAndWait([&] { EXPECT_EQ(recorder.body().size(), num_bytes); });
  EXPECT_LT(num_bytes, body.size());
  thread_.RunAndWait([&] { calls_.front()->Resume(); });
  EXPECT_FALSE(recorder.Wait());
  EXPECT_EQ(recorder.body(), body);
}

TEST_F(ClientTest, Fetch_RefusesWhatIsTooLarge) {
  const auto server =
      *Server::Start({.port = 0}, [](const auto&, const auto& exchange) { exchange->Send({.body = "0123456789"}); });
  for (const int64_t limit : {9, 10}) {
    std::promise<Result<Client::Answer>> done;
    thread_.RunAndWait([&] {
      calls_.push_back(client_->Fetch(OriginOf(server->port()), {}, limit,
                                      [&](Result<Client::Answer> answer) { done.set_value(std::move(answer)); }));
    });
    const auto answer = done.get_future().get();
    if (limit == 10) {
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->body, "0123456789");
    } else {
      ASSERT_FALSE(answer);
      EXPECT_EQ(answer.error().code, ErrorCode::kPayloadTooLarge);
    }
  }
}

TEST(Origin, Urls_AreTakenApart) {
  const auto plain = Origin::Parse("http://host:8080/");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->host, "host");
  EXPECT_EQ(plain->port, 8080);
  EXPECT_EQ(plain->authority, "host:8080");
  EXPECT_EQ(Origin::Parse("HTTPS://host")->port, 443);
  EXPECT_EQ(Origin::Parse("https://host")->authority, "host");
  EXPECT_EQ(Origin::Parse("http://[::1]:81")->host, "::1");
  EXPECT_EQ(Origin::Parse("http://[::1]:81")->authority, "[::1]:81");
}

TEST(Origin, WhatIsNoOrigin_IsRefused) {
  for (const char* url : {"", "host:80", "ftp://host", "http://", "http://host/path", "http://host:0", "http://host:99999",
                          "http://host:8x", "http://user@host", "http://host?x", "http://[::1", "http://ho st"}) {
    EXPECT_FALSE(Origin::Parse(url)) << url;
  }
}

}  // namespace
}  // namespace autoglm::http
