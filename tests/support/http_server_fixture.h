#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "http/server.h"
#include "support/raw_http_client.h"

namespace autoglm::testing {

// Something that happens once on another thread. Waiting for it has an end, so that a failing test fails and does not hang.
class Event {
 public:
  void Happen() { promise_.set_value(); }
  bool Wait() { return future_.wait_for(std::chrono::seconds(10)) == std::future_status::ready; }
  bool HasHappened() { return future_.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }

 private:
  std::promise<void> promise_;
  std::future<void> future_ = promise_.get_future();
};

// A server on a free port of the loopback interface.
class HttpServerFixture : public ::testing::Test {
 protected:
  using RequestPtr = std::shared_ptr<const http::Request>;
  using ExchangePtr = std::shared_ptr<http::Exchange>;

  HttpServerFixture() { options_.port = 0; }

  void Serve(const http::Server::Handler& handler) {
    auto server = http::Server::Start(options_, handler);
    ASSERT_TRUE(server.has_value()) << server.error().message;
    server_ = *std::move(server);
  }

  // Answers "METHOD path?query body".
  void ServeEcho() {
    Serve([](const RequestPtr& request, const ExchangePtr& exchange) {
      exchange->Send({200, {}, request->method + " " + request->path + "?" + request->query + " " + request->body});
    });
  }

  // Hands the exchange of the one expected request to the test.
  void ServeToTest() {
    Serve([this](const RequestPtr&, ExchangePtr exchange) { arrived_.set_value(std::move(exchange)); });
  }
  ExchangePtr TakeExchange() {
    EXPECT_EQ(arrival_.wait_for(std::chrono::seconds(10)), std::future_status::ready);
    return arrival_.get();
  }

  RawHttpClient Connect() { return RawHttpClient(server_->port()); }

  static constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

  http::ServerOptions options_;
  std::promise<ExchangePtr> arrived_;
  std::future<ExchangePtr> arrival_ = arrived_.get_future();
  std::unique_ptr<http::Server> server_;
};

}  // namespace autoglm::testing
