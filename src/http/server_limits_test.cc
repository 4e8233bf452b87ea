#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "http/server.h"
#include "support/http_server_fixture.h"
#include "support/raw_http_client.h"

namespace autoglm::http {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using testing::RawHttpClient;
using testing::RawResponse;

class ServerLimitsTest : public testing::HttpServerFixture {
 protected:
  using Clock = std::chrono::steady_clock;

  static milliseconds Since(Clock::time_point begin) { return std::chrono::duration_cast<milliseconds>(Clock::now() - begin); }

  // The server is still there for others.
  void ExpectServing() {
    RawHttpClient client = Connect();
    client.Send(kGet);
    EXPECT_EQ(client.ReadResponse().status, 200);
  }
};

TEST_F(ServerLimitsTest, MalformedRequest_Is400InOpenAisFormAndCloses) {
  ServeEcho();
  for (const std::string bytes : {"GARBAGE\r\n\r\n", "\x16\x03\x01", "GET / HTTP/1.1\r\n\r\n",
                                  "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n"}) {
    RawHttpClient client = Connect();
    client.Send(bytes);
    RawResponse response = client.ReadResponse();
    EXPECT_EQ(response.status, 400) << bytes;
    EXPECT_EQ(response.headers["content-type"], "application/json");
    EXPECT_EQ(response.headers["connection"], "close");
    EXPECT_THAT(response.body, HasSubstr(R"("type":"invalid_request_error","param":null,"code":"malformed_request")"));
    EXPECT_TRUE(client.IsClosedByServer());
  }
  ExpectServing();
}

TEST_F(ServerLimitsTest, BodyTooLarge_Is413EvenToAClientThatSendsItAllFirst) {
  options_.max_body_bytes = 1000;
  ServeEcho();
  const std::string body(4 << 20, 'x');
  constexpr std::string_view kLine = "POST / HTTP/1.1\r\nHost: h\r\n";
  for (const std::string& bytes : {fmt::format("{}Content-Length: {}\r\n\r\n{}", kLine, body.size(), body),
                                   fmt::format("{}Transfer-Encoding: chunked\r\n\r\n400000\r\n{}\r\n0\r\n\r\n", kLine, body)}) {
    RawHttpClient client = Connect();
    EXPECT_TRUE(client.Send(bytes)) << "the server must not reset a client that is still sending";
    EXPECT_EQ(client.ReadResponse().status, 413);
  }
  ExpectServing();
}

TEST_F(ServerLimitsTest, BodiesBeyondWhatMayArriveAtATime_Are503) {
  options_.max_body_bytes = 1000;
  options_.max_arriving_body_bytes = 1500;
  ServeEcho();
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n";
  const std::string most(900, 'x');
  const std::string rest(100, 'x');
  RawHttpClient first = Connect();
  first.Send(head + most);
  RawHttpClient second = Connect();
  second.Send(head + most);
  RawResponse refused = second.ReadResponse();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.headers["retry-after"], "1");
  EXPECT_THAT(refused.body, HasSubstr(R"("code":"too_many_bodies")"));
  EXPECT_TRUE(second.IsClosedByServer());

  first.Send(rest);
  EXPECT_EQ(first.ReadResponse().status, 200) << "who was first is served";
  for (int i = 0; i < 3; ++i) {
    RawHttpClient vanishing = Connect();
    vanishing.Send(head + most);
    vanishing.Close();
    first.Send(head + most);
    first.Send(rest);
    EXPECT_EQ(first.ReadResponse().status, 200) << "room comes back";
  }
}

TEST_F(ServerLimitsTest, OneBodyAlone_AlwaysHasRoom) {
  options_.max_body_bytes = 1000;
  options_.max_arriving_body_bytes = 10;
  ServeEcho();
  RawHttpClient client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + std::string(1000, 'x'));
  EXPECT_EQ(client.ReadResponse().status, 200);
}

TEST_F(ServerLimitsTest, HeadTooLarge_Is431) {
  options_.max_header_bytes = 2000;
  ServeEcho();
  RawHttpClient client = Connect();
  client.Send("GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(100'000, 'a') + "\r\n\r\n");
  EXPECT_EQ(client.ReadResponse().status, 431);
  ExpectServing();
}

TEST_F(ServerLimitsTest, EndlessChunkHeader_IsRefused) {
  ServeEcho();
  RawHttpClient client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(1 << 20, 'a'));
  EXPECT_EQ(client.ReadResponse().status, 400);
}

// The client never pauses for as long as the timeout: only the time since the first byte counts.
TEST_F(ServerLimitsTest, HeadersByteByByte_AreCutAtTheHeaderTimeout) {
  options_.header_timeout = milliseconds(100);
  ServeEcho();
  RawHttpClient client = Connect();
  const auto begin = Clock::now();
  client.Send("GET / HTTP/1.1\r\nHost: h\r\n");
  for (int i = 0; i < 2000 && !client.HasInput(milliseconds(5)); ++i) client.Send("a");
  const RawResponse response = client.ReadResponse();
  EXPECT_EQ(response.status, 408);
  EXPECT_THAT(response.body, HasSubstr(R"("code":"request_timeout")"));
  EXPECT_GE(Since(begin), milliseconds(95));
  EXPECT_LT(Since(begin), milliseconds(3000));
  EXPECT_TRUE(client.IsClosedByServer());
}

TEST_F(ServerLimitsTest, SecondRequestOfAConnection_HasAHeaderTimeoutToo) {
  options_.header_timeout = milliseconds(100);
  ServeEcho();
  RawHttpClient client = Connect();
  client.Send(std::string(kGet) + "GET / HT");
  EXPECT_EQ(client.ReadResponse().status, 200);
  EXPECT_EQ(client.ReadResponse().status, 408);
}

TEST_F(ServerLimitsTest, SilentConnection_IsClosedWithoutAWord) {
  options_.header_timeout = milliseconds(100);
  ServeEcho();
  RawHttpClient client = Connect();
  EXPECT_TRUE(client.IsClosedByServer());
}

TEST_F(ServerLimitsTest, BodyThatStops_Is408) {
  options_.body_timeout = milliseconds(100);
  ServeEcho();
  RawHttpClient client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_EQ(client.ReadResponse().status, 408);
  EXPECT_TRUE(client.IsClosedByServer());
}

TEST_F(ServerLimitsTest, IdleConnection_IsClosedWithoutAWord) {
  options_.idle_timeout = milliseconds(100);
  ServeEcho();
  RawHttpClient client = Connect();
  client.Send(kGet);
  EXPECT_EQ(client.ReadResponse().status, 200);
  const auto begin = Clock::now();
  EXPECT_TRUE(client.IsClosedByServer());
  EXPECT_GE(Since(begin), milliseconds(50));
}

TEST_F(ServerLimitsTest, AnswerThatTakesItsTime_IsNotATimeout) {
  options_.header_timeout = options_.body_timeout = options_.idle_timeout = options_.write_timeout = milliseconds(50);
  ServeToTest();
  RawHttpClient client = Connect();
  client.Send(kGet);
  const ExchangePtr exchange = TakeExchange();
  EXPECT_FALSE(client.HasInput(milliseconds(300)));
  exchange->Send({200, {}, "late"});
  EXPECT_EQ(client.ReadResponse().body, "late");
}

TEST_F(ServerLimitsTest, OneConnectionTooMany_Is503WithRetryAfter) {
  options_.max_connections = 2;
  ServeEcho();
  std::vector<RawHttpClient> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(Connect());
    clients.back().Send(kGet);
    EXPECT_EQ(clients.back().ReadResponse().status, 200);
  }
  RawHttpClient refused = Connect();
  refused.Send(kGet);
  RawResponse response = refused.ReadResponse();
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.headers["retry-after"], "1");
  EXPECT_THAT(response.body, HasSubstr(R"("type":"overloaded","param":null,"code":"too_many_connections")"));
  EXPECT_TRUE(refused.IsClosedByServer());
  clients[0].Send(kGet);
  EXPECT_EQ(clients[0].ReadResponse().status, 200) << "those who were there first are served on";
}

// Writes until the server takes the client for gone; the socket buffers hold little, so this has an end.
bool WriteUntilGone(Exchange& exchange, testing::Event& gone) {
  const std::string piece(64 << 10, 'x');
  for (int i = 0; i < 2000 && !gone.HasHappened(); ++i) exchange.Write(piece);
  return gone.Wait();
}

TEST_F(ServerLimitsTest, SlowReader_IsClosedAtTheBacklog) {
  options_.max_write_backlog_bytes = 1 << 20;
  ServeToTest();
  RawHttpClient client(server_->port(), 4096);
  client.Send(kGet);
  const ExchangePtr exchange = TakeExchange();
  testing::Event gone;
  exchange->OnClientGone([&] { gone.Happen(); });
  exchange->Start({});
  EXPECT_TRUE(WriteUntilGone(*exchange, gone));
  EXPECT_EQ(exchange->backlog_bytes(), 0) << "a closed connection holds no memory";
}

TEST_F(ServerLimitsTest, WhatTheClientDoesNotTake_WaitsWhereItIsSeen) {
  ServeToTest();
  RawHttpClient client(server_->port(), 4096);
  client.Send(kGet);
  const ExchangePtr exchange = TakeExchange();
  exchange->Start({});
  constexpr int64_t kBytes = 2 << 20;
  exchange->Write(std::string(kBytes, 'x'));
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_GT(exchange->backlog_bytes(), kBytes - (512 << 10)) << "the kernel took most of it, where nobody sees it";
}

TEST_F(ServerLimitsTest, ReaderThatStops_IsClosedAtTheWriteTimeout) {
  options_.write_timeout = milliseconds(100);
  options_.max_write_backlog_bytes = int64_t{1} << 40;
  ServeToTest();
  RawHttpClient client(server_->port(), 4096);
  client.Send(kGet);
  const ExchangePtr exchange = TakeExchange();
  testing::Event gone;
  exchange->OnClientGone([&] { gone.Happen(); });
  exchange->Start({});
  exchange->Write(std::string(16 << 20, 'x'));
  EXPECT_TRUE(gone.Wait());
}

}  // namespace
}  // namespace autoglm::http
