#include "gateway/client_answer.h"

#include <utility>

#include "base/check.h"

namespace autoglm::gateway {

ClientAnswer::ClientAnswer(http::EventLoop& loop, std::shared_ptr<http::Exchange> exchange, const FaultPlan& faults,
                           Random& random)
    : loop_(loop), exchange_(std::move(exchange)), faults_(faults), random_(random) {}

void ClientAnswer::Send(http::Response response) {
  AUTOGLM_CHECK(!is_begun_);
  is_begun_ = true;
  is_over_ = true;
  const auto num_bytes = static_cast<int64_t>(response.body.size());
  num_bytes_ += num_bytes;
  if (!faults_.delays_answer()) {
    exchange_->Send(std::move(response));
    return Finish();
  }
  Hold({[this, kept = std::make_shared<http::Response>(std::move(response))] {
          exchange_->Send(std::move(*kept));
          Finish();
        },
        num_bytes},
       faults_.first_token_delay);
}

void ClientAnswer::Start(http::Response head) {
  AUTOGLM_CHECK(!is_begun_);
  is_begun_ = true;
  if (!faults_.delays_answer()) return exchange_->Start(std::move(head));
  Hold({[this, kept = std::make_shared<http::Response>(std::move(head))] { exchange_->Start(std::move(*kept)); }, 0},
       faults_.first_token_delay);
}

void ClientAnswer::Write(std::string events, int64_t num_events) {
  if (is_over_ || events.empty()) return;
  const auto num_bytes = static_cast<int64_t>(events.size());
  num_bytes_ += num_bytes;
  const bool is_first = num_events_ == 0;
  num_events_ += num_events;
  if (!faults_.delays_answer()) {
    exchange_->Write(std::move(events));
  } else {
    Hold({[this, kept = std::make_shared<std::string>(std::move(events))] { exchange_->Write(std::move(*kept)); }, num_bytes},
         is_first ? std::chrono::nanoseconds(0) : Jittered(faults_.token_delay, faults_.jitter, random_));
  }
  if (faults_.cut_after_events >= 0 && num_events_ >= faults_.cut_after_events) Cut();
}

void ClientAnswer::End() {
  if (std::exchange(is_over_, true)) return;
  if (!faults_.delays_answer()) {
    exchange_->End();
    return Finish();
  }
  Hold({[this] {
          exchange_->End();
          Finish();
        },
        0},
       std::chrono::nanoseconds(0));
}

// An exchange that is let go of between Start and End cuts the connection.
void ClientAnswer::Cut() {
  if (std::exchange(is_over_, true)) return;
  if (!faults_.delays_answer()) return Finish();
  Hold({[this] { Finish(); }, 0}, std::chrono::nanoseconds(0));
}

void ClientAnswer::Hold(Piece piece, std::chrono::nanoseconds delay) {
  held_bytes_ += piece.num_bytes;
  held_.emplace_back(delay, std::move(piece));
  if (held_.size() == 1) timer_ = loop_.CallAfter(delay, [this] { HandOverNext(); });
}

void ClientAnswer::HandOverNext() {
  Piece piece = std::move(held_.front().second);
  held_.pop_front();
  held_bytes_ -= piece.num_bytes;
  if (!held_.empty()) timer_ = loop_.CallAfter(held_.front().first, [this] { HandOverNext(); });
  // The last piece may destroy this.
  piece.hand_over();
}

void ClientAnswer::Finish() {
  if (const auto on_sent = std::exchange(on_sent_, nullptr)) on_sent();
}

}  // namespace autoglm::gateway
