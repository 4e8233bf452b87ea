#include "http/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "support/http_server_fixture.h"
#include "support/raw_http_client.h"

namespace autoglm::http {
namespace {

using ::testing::HasSubstr;
using testing::RawHttpClient;
using testing::RawResponse;
using ::testing::StartsWith;

class ServerTest : public testing::HttpServerFixture {};

TEST_F(ServerTest, KeptAliveConnection_ServesManyRequests) {
  ServeEcho();
  RawHttpClient client = Connect();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(client.Send("GET /" + std::to_string(i) + "?q HTTP/1.1\r\nHost: h\r\n\r\n"));
    const RawResponse response = client.ReadResponse();
    ASSERT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "GET /" + std::to_string(i) + "?q ");
  }
  EXPECT_EQ(server_->num_connections(), 1);
}

TEST_F(ServerTest, ConnectionClose_IsObeyed) {
  ServeEcho();
  RawHttpClient client = Connect();
  client.Send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client.ReadResponse().headers["connection"], "close");
  EXPECT_TRUE(client.IsClosedByServer());
}

TEST_F(ServerTest, Http10_ClosesAfterItsAnswer) {
  ServeEcho();
  RawHttpClient client = Connect();
  client.Send("GET /old HTTP/1.0\r\n\r\n");
  EXPECT_EQ(client.ReadResponse().body, "GET /old? ");
  EXPECT_TRUE(client.IsClosedByServer());
}

TEST_F(ServerTest, Http10Stream_HasNoChunks) {
  Serve([](const RequestPtr&, const ExchangePtr& exchange) {
    exchange->Start({});
    exchange->Write("one ");
    exchange->Write("two");
    exchange->End();
  });
  RawHttpClient client = Connect();
  client.Send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(client.ReadToEnd(), ::testing::EndsWith("\r\n\r\none two"));
}

TEST_F(ServerTest, BodyWithLength_Arrives) {
  ServeEcho();
  RawHttpClient client = Connect();
  const std::string body(3 << 20, 'b');
  client.Send("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  EXPECT_EQ(client.ReadResponse().body, "POST /p? " + body);
}

TEST_F(ServerTest, ChunkedBody_Arrives) {
  ServeEcho();
  RawHttpClient client = Connect();
  client.Send("POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
  EXPECT_EQ(client.ReadResponse().body, "POST /p? hello world");
}

TEST_F(ServerTest, BytesOneByOne_AreARequest) {
  ServeEcho();
  RawHttpClient client = Connect();
  for (const char c : std::string("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")) {
    ASSERT_TRUE(client.Send(std::string(1, c)));
  }
  EXPECT_EQ(client.ReadResponse().body, "POST /p? abc");
}

TEST_F(ServerTest, PipelinedRequests_AreAnsweredInOrder) {
  ServeEcho();
  RawHttpClient client = Connect();
  client.Send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nxGET /3 HTT");
  EXPECT_EQ(client.ReadResponse().body, "GET /1? ");
  EXPECT_EQ(client.ReadResponse().body, "POST /2? x");
  client.Send("P/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(client.ReadResponse().body, "GET /3? ");
}

TEST_F(ServerTest, RequestSentDuringAnAnswer_IsNotLost) {
  std::vector<ExchangePtr> exchanges;
  testing::Event first;
  testing::Event second;
  Serve([&](const RequestPtr& request, ExchangePtr exchange) {
    exchanges.push_back(std::move(exchange));
    (request->path == "/1" ? first : second).Happen();
  });
  RawHttpClient client = Connect();
  client.Send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(first.Wait());
  client.Send("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
  exchanges[0]->Start({});
  exchanges[0]->Write("first");
  exchanges[0]->End();
  EXPECT_EQ(client.ReadResponse().body, "first");
  ASSERT_TRUE(second.Wait());
  exchanges[1]->Send({200, {}, "second"});
  EXPECT_EQ(client.ReadResponse().body, "second");
}

TEST_F(ServerTest, Stream_ArrivesPieceByPiece) {
  ServeToTest();
  RawHttpClient client = Connect();
  client.Send(kGet);
  const ExchangePtr exchange = TakeExchange();
  exchange->Start({200, {{"Content-Type", "text/event-stream"}}, ""});
  ASSERT_TRUE(client.ReadUntil("text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"));
  exchange->Write("data: 1\n\n");
  ASSERT_TRUE(client.ReadUntil("9\r\ndata: 1\n\n\r\n")) << "a piece must not wait for the next one";
  exchange->Write("data: 2\n\n");
  ASSERT_TRUE(client.ReadUntil("9\r\ndata: 2\n\n\r\n"));
  exchange->End();
  const RawResponse response = client.ReadResponse();
  EXPECT_EQ(response.body, "data: 1\n\ndata: 2\n\n");
}

TEST_F(ServerTest, LargeStream_ArrivesWhole) {
  options_.max_write_backlog_bytes = int64_t{64} << 20;
  std::string expected;
  for (int i = 0; i < 2000; ++i) expected += std::string(static_cast<size_t>(i), static_cast<char>('a' + i % 26));
  Serve([&](const RequestPtr&, const ExchangePtr& exchange) {
    exchange->Start({});
    size_t at = 0;
    for (size_t i = 0; i < 2000; at += i, ++i) exchange->Write(expected.substr(at, i));
    exchange->End();
  });
  RawHttpClient client = Connect();
  client.Send(kGet);
  EXPECT_EQ(client.ReadResponse().body, expected);
}

TEST_F(ServerTest, Head_GetsTheHeadOfTheGet) {
  ServeEcho();
  RawHttpClient client = Connect();
  client.Send("HEAD /h HTTP/1.1\r\nHost: h\r\n\r\n");
  RawResponse response = client.ReadHeadResponse();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers["content-length"], std::to_string(std::string("GET /h? ").size()));
  client.Send("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(client.ReadResponse().body, "GET /next? ");
}

TEST_F(ServerTest, ExpectContinue_IsInvited) {
  ServeEcho();
  RawHttpClient client = Connect();
  client.Send("POST /p HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(client.ReadResponse().status, 100);
  client.Send("abc");
  EXPECT_EQ(client.ReadResponse().body, "POST /p? abc");
}

TEST_F(ServerTest, ExpectContinueWithABodyTooLarge_IsRefusedBeforeItIsSent) {
  options_.max_body_bytes = 10;
  ServeEcho();
  RawHttpClient client = Connect();
  client.Send("POST /p HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n");
  EXPECT_EQ(client.ReadResponse().status, 413);
}

TEST_F(ServerTest, DroppedExchange_Answers500AndTheConnectionGoesOn) {
  Serve([](const RequestPtr&, const ExchangePtr&) {});
  RawHttpClient client = Connect();
  for (int i = 0; i < 2; ++i) {
    client.Send(kGet);
    const RawResponse response = client.ReadResponse();
    EXPECT_EQ(response.status, 500);
    EXPECT_THAT(response.body, HasSubstr(R"("type":"server_error")"));
  }
}

TEST_F(ServerTest, StreamDroppedBeforeItsEnd_IsVisiblyCut) {
  ServeToTest();
  RawHttpClient client = Connect();
  client.Send(kGet);
  ExchangePtr exchange = TakeExchange();
  exchange->Start({});
  exchange->Write("begun");
  ASSERT_TRUE(client.ReadUntil("begun"));
  exchange.reset();
  EXPECT_EQ(client.ReadResponse().status, 0) << "no end mark, so the client knows";
}

TEST_F(ServerTest, Request_KnowsItsPeer) {
  Serve([](const RequestPtr& request, const ExchangePtr& exchange) {
    const bool is_recent = std::chrono::steady_clock::now() - request->accepted < std::chrono::seconds(10);
    exchange->Send({200, {}, request->peer + (is_recent ? " recent" : " old")});
  });
  RawHttpClient client = Connect();
  client.Send(kGet);
  const RawResponse response = client.ReadResponse();
  EXPECT_THAT(response.body, StartsWith("127.0.0.1:"));
  EXPECT_THAT(response.body, HasSubstr(" recent"));
}

TEST_F(ServerTest, AddressInUse_IsAnErrorThatNamesIt) {
  ServeEcho();
  ServerOptions same = options_;
  same.port = server_->port();
  const auto second = Server::Start(same, [](const RequestPtr&, const ExchangePtr&) {});
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, ErrorCode::kIo);
  EXPECT_THAT(second.error().message, HasSubstr("127.0.0.1:" + std::to_string(same.port)));
  EXPECT_THAT(second.error().message, HasSubstr("Address already in use"));
}

TEST_F(ServerTest, BadOptions_AreErrors) {
  ServerOptions bad_host = options_;
  bad_host.host = "999.999.999.999";
  EXPECT_EQ(Server::Start(bad_host, [](const RequestPtr&, const ExchangePtr&) {}).error().code, ErrorCode::kIo);
  ServerOptions no_threads = options_;
  no_threads.num_io_threads = 0;
  EXPECT_EQ(Server::Start(no_threads, [](const RequestPtr&, const ExchangePtr&) {}).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace autoglm::http
