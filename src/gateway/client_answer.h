#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "base/random.h"
#include "gateway/fault_plan.h"
#include "http/event_loop.h"
#include "http/server.h"

namespace autoglm::gateway {

// The way back to the client, through the faults that are put in. On the request's loop.
class ClientAnswer {
 public:
  ClientAnswer(http::EventLoop& loop, std::shared_ptr<http::Exchange> exchange, const FaultPlan& faults, Random& random);

  // Exactly one of Send, or Start and End; Cut instead of End breaks the connection. `on_sent` is called once, when the last of
  // it was handed over.
  void Send(http::Response response);
  void Start(http::Response head);
  void Write(std::string events, int64_t num_events);
  void End();
  void Cut();
  void OnSent(std::function<void()> on_sent) { on_sent_ = std::move(on_sent); }

  bool is_begun() const { return is_begun_; }
  bool is_over() const { return is_over_; }
  int64_t num_bytes() const { return num_bytes_; }
  int64_t backlog_bytes() const { return exchange_->backlog_bytes() + held_bytes_; }

 private:
  struct Piece {
    std::function<void()> hand_over;
    int64_t num_bytes = 0;
  };

  void Hold(Piece piece, std::chrono::nanoseconds delay);
  void HandOverNext();
  void Finish();

  http::EventLoop& loop_;
  std::shared_ptr<http::Exchange> exchange_;
  const FaultPlan& faults_;
  Random& random_;
  std::function<void()> on_sent_;
  bool is_begun_ = false;
  bool is_over_ = false;
  int64_t num_bytes_ = 0;
  int64_t num_events_ = 0;

  // Pieces that faults hold back, in order.
  std::deque<std::pair<std::chrono::nanoseconds, Piece>> held_;
  int64_t held_bytes_ = 0;
  http::EventLoop::Timer timer_;
};

}  // namespace autoglm::gateway
