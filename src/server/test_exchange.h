#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "http/server.h"

namespace autoglm::testing {

// Keeps what a real exchange would send. For tests only.
class TestExchange final : public http::Exchange {
 public:
  void Send(http::Response response) override {
    AUTOGLM_CHECK(!head_ && !is_ended_);
    body_ = response.body;
    head_ = std::move(response);
    is_ended_ = true;
  }
  void Start(http::Response head) override {
    AUTOGLM_CHECK(!head_ && !is_ended_);
    head_ = std::move(head);
  }
  void Write(std::string data) override {
    AUTOGLM_CHECK(head_ && !is_ended_);
    ++num_writes_;
    body_ += data;
  }
  void End() override {
    AUTOGLM_CHECK(head_ && !is_ended_);
    is_ended_ = true;
  }
  int64_t backlog_bytes() const override { return 0; }
  void OnClientGone(std::function<void()> callback) override { on_gone_ = std::move(callback); }

  void OnDelivered(std::function<void(const RequestDelivery&)> callback) override { on_delivered_ = std::move(callback); }

  bool is_started() const { return head_.has_value(); }
  bool is_ended() const { return is_ended_; }
  int status() const { return head_ ? head_->status : 0; }
  int num_writes() const { return num_writes_; }
  const std::string& body() const { return body_; }
  std::string Header(std::string_view name) const {
    for (const auto& [key, value] : head_->headers) {
      if (key == name) return value;
    }
    const std::string lines = "\r\n" + head_->lines.text();
    const std::string start = "\r\n" + std::string(name) + ": ";
    const size_t at = lines.find(start);
    if (at == std::string::npos) return {};
    const size_t begin = at + start.size();
    return lines.substr(begin, lines.find("\r\n", begin) - begin);
  }
  void BeDelivered(const RequestDelivery& delivery) {
    if (on_delivered_) std::exchange(on_delivered_, nullptr)(delivery);
  }
  void GoAway() {
    if (on_gone_) std::exchange(on_gone_, nullptr)();
  }

 private:
  std::optional<http::Response> head_;
  std::string body_;
  int num_writes_ = 0;
  bool is_ended_ = false;
  std::function<void()> on_gone_;
  std::function<void(const RequestDelivery&)> on_delivered_;
};

}  // namespace autoglm::testing
