#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "http/server.h"
#include "support/http_server_fixture.h"
#include "support/raw_http_client.h"

namespace autoglm::http {
namespace {

using testing::Event;
using testing::RawHttpClient;
using testing::RawResponse;

class ServerLifetimeTest : public testing::HttpServerFixture {};

TEST_F(ServerLifetimeTest, ClientThatClosesWhileWaiting_IsSeen) {
  ServeToTest();
  RawHttpClient client = Connect();
  client.Send(kGet);
  const ExchangePtr exchange = TakeExchange();
  Event gone;
  exchange->OnClientGone([&] { gone.Happen(); });
  EXPECT_FALSE(gone.HasHappened());
  client.Close();
  EXPECT_TRUE(gone.Wait());
  exchange->Send({200, {}, "to nobody"});
}

TEST_F(ServerLifetimeTest, ClientThatResetsWhileStreaming_IsSeenWithoutAWrite) {
  ServeToTest();
  RawHttpClient client = Connect();
  client.Send(kGet);
  const ExchangePtr exchange = TakeExchange();
  Event gone;
  exchange->OnClientGone([&] { gone.Happen(); });
  exchange->Start({});
  exchange->Write("data");
  ASSERT_TRUE(client.ReadUntil("data"));
  client.Reset();
  EXPECT_TRUE(gone.Wait());
  exchange->Write("more");
  exchange->End();
}

TEST_F(ServerLifetimeTest, ClientThatPipelinedAndCloses_IsSeen) {
  ServeToTest();
  RawHttpClient client = Connect();
  client.Send(std::string(kGet) + std::string(kGet));
  const ExchangePtr exchange = TakeExchange();
  Event gone;
  exchange->OnClientGone([&] { gone.Happen(); });
  client.Close();
  EXPECT_TRUE(gone.Wait());
  exchange->Send({});
}

TEST_F(ServerLifetimeTest, ClientThatClosesItsSendingSide_CountsAsGone) {
  ServeToTest();
  RawHttpClient client = Connect();
  client.Send(kGet);
  const ExchangePtr exchange = TakeExchange();
  Event gone;
  exchange->OnClientGone([&] { gone.Happen(); });
  client.CloseSendingSide();
  EXPECT_TRUE(gone.Wait());
  EXPECT_TRUE(client.IsClosedByServer());
}

TEST_F(ServerLifetimeTest, ClientGoneBeforeAnyoneAsked_IsReportedAtOnce) {
  ServeToTest();
  RawHttpClient client = Connect();
  client.Send(kGet);
  const ExchangePtr exchange = TakeExchange();
  Event first;
  exchange->OnClientGone([&] { first.Happen(); });
  client.Close();
  ASSERT_TRUE(first.Wait());
  bool is_called = false;
  exchange->OnClientGone([&] { is_called = true; });
  EXPECT_TRUE(is_called);
}

TEST_F(ServerLifetimeTest, TwoHundredConnections_EachGetTheirOwnAnswer) {
  options_.num_io_threads = 2;
  ServeEcho();
  std::vector<RawHttpClient> clients;
  clients.reserve(200);
  for (int i = 0; i < 200; ++i) clients.push_back(Connect());
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < clients.size(); ++i) {
      clients[i].Send("GET /" + std::to_string(i) + "?" + std::to_string(round) + " HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    for (size_t i = 0; i < clients.size(); ++i) {
      EXPECT_EQ(clients[i].ReadResponse().body, "GET /" + std::to_string(i) + "?" + std::to_string(round) + " ");
    }
  }
  EXPECT_EQ(server_->num_connections(), 200);
}

// Streams to every client from a thread of its own, as an engine does.
class Streamer {
 public:
  void Add(std::shared_ptr<Exchange> exchange) {
    exchange->Start({});
    std::lock_guard lock(mutex_);
    exchanges_.push_back(std::move(exchange));
  }
  void Begin() {
    thread_ = std::thread([this] {
      while (!is_stopped_) {
        std::lock_guard lock(mutex_);
        for (const auto& exchange : exchanges_) exchange->Write("data: token\n\n");
        num_rounds_.fetch_add(1);
      }
    });
  }
  void Stop() {
    is_stopped_ = true;
    thread_.join();
    for (const auto& exchange : exchanges_) exchange->End();
    exchanges_.clear();
  }
  int num_rounds() const { return num_rounds_; }

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<Exchange>> exchanges_;
  std::atomic<bool> is_stopped_{false};
  std::atomic<int> num_rounds_{0};
  std::thread thread_;
};

TEST_F(ServerLifetimeTest, ServerDestroyedUnderLoad_TellsEveryExchangeAndTouchesNothingAfterwards) {
  options_.num_io_threads = 2;
  Streamer streamer;
  std::atomic<int> num_gone{0};
  Serve([&](const RequestPtr&, ExchangePtr exchange) {
    exchange->OnClientGone([&] { num_gone.fetch_add(1); });
    streamer.Add(std::move(exchange));
  });
  std::vector<RawHttpClient> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(Connect());
    clients.back().Send(kGet);
  }
  streamer.Begin();
  for (RawHttpClient& client : clients) ASSERT_TRUE(client.ReadUntil("token"));
  server_.reset();
  EXPECT_EQ(num_gone, 20);
  const int num_rounds = streamer.num_rounds();
  while (streamer.num_rounds() < num_rounds + 3) std::this_thread::yield();
  streamer.Stop();
}

TEST_F(ServerLifetimeTest, ServerDestroyedWithRequestsInEveryState_DoesNotHang) {
  ServeToTest();
  RawHttpClient silent = Connect();
  RawHttpClient in_head = Connect();
  in_head.Send("GET / HT");
  RawHttpClient in_body = Connect();
  in_body.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
  RawHttpClient waiting = Connect();
  waiting.Send(kGet);
  const ExchangePtr exchange = TakeExchange();
  server_.reset();
  EXPECT_TRUE(silent.IsClosedByServer());
  EXPECT_TRUE(in_head.IsClosedByServer());
  EXPECT_TRUE(in_body.IsClosedByServer());
  EXPECT_TRUE(waiting.IsClosedByServer());
}

TEST_F(ServerLifetimeTest, StopAccepting_LetsARunningStreamFinish) {
  ServeToTest();
  RawHttpClient client = Connect();
  client.Send(kGet);
  const ExchangePtr exchange = TakeExchange();
  exchange->Start({});
  exchange->Write("before ");
  ASSERT_TRUE(client.ReadUntil("before"));
  server_->StopAccepting();
  EXPECT_FALSE(RawHttpClient(server_->port()).is_connected());
  exchange->Write("after");
  exchange->End();
  EXPECT_EQ(client.ReadResponse().body, "before after");
  EXPECT_TRUE(client.IsClosedByServer());
  server_->StopAccepting();
}

TEST_F(ServerLifetimeTest, StopAccepting_ClosesIdleConnectionsAndMarksLastAnswers) {
  ServeToTest();
  RawHttpClient busy = Connect();
  busy.Send(kGet);
  const ExchangePtr exchange = TakeExchange();
  RawHttpClient never_used = Connect();
  server_->StopAccepting();
  EXPECT_TRUE(never_used.IsClosedByServer());
  exchange->Send({200, {}, "last"});
  RawResponse response = busy.ReadResponse();
  EXPECT_EQ(response.body, "last");
  EXPECT_EQ(response.headers["connection"], "close");
}

TEST_F(ServerLifetimeTest, StopAccepting_ClosesKeptAliveConnections) {
  ServeEcho();
  RawHttpClient idle = Connect();
  idle.Send(kGet);
  EXPECT_EQ(idle.ReadResponse().status, 200);
  server_->StopAccepting();
  EXPECT_TRUE(idle.IsClosedByServer());
}

// The handler holds the only I/O thread, so the connections below stay in the kernel's queue until the drain takes them.
TEST_F(ServerLifetimeTest, StopAccepting_ServesWhoeverTheKernelHadAccepted) {
  Event entered;
  std::promise<void> leave;
  auto may_leave = leave.get_future().share();
  Serve([&](const RequestPtr& request, const ExchangePtr& exchange) {
    if (request->path == "/block") {
      entered.Happen();
      may_leave.wait();
    }
    exchange->Send({200, {}, "ok"});
  });
  RawHttpClient blocker = Connect();
  blocker.Send("GET /block HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(entered.Wait());
  std::vector<RawHttpClient> queued;
  for (int i = 0; i < 10; ++i) {
    queued.push_back(Connect());
    queued.back().Send(kGet);
  }
  std::thread stopper([&] { server_->StopAccepting(); });
  leave.set_value();
  for (RawHttpClient& client : queued) EXPECT_EQ(client.ReadResponse().body, "ok");
  stopper.join();
}

TEST_F(ServerLifetimeTest, StopAcceptingFromAHandler_DoesNotDeadlock) {
  options_.num_io_threads = 2;
  Serve([&](const RequestPtr&, const ExchangePtr& exchange) {
    server_->StopAccepting();
    exchange->Send({200, {}, "bye"});
  });
  RawHttpClient client = Connect();
  client.Send(kGet);
  EXPECT_EQ(client.ReadResponse().body, "bye");
}

}  // namespace
}  // namespace autoglm::http
