#include "http/exchange_state.h"

#include <utility>

#include "base/check.h"
#include "http/http_error.h"

namespace autoglm::http {
namespace {

class SharedExchange final : public Exchange {
 public:
  explicit SharedExchange(std::shared_ptr<ExchangeState> state) : state_(std::move(state)) {}
  ~SharedExchange() override { state_->Drop(); }

  void Send(Response response) override { state_->Send(std::move(response)); }
  void Start(Response head) override { state_->Start(std::move(head)); }
  void Write(std::string data) override { state_->Write(std::move(data)); }
  void End() override { state_->End(); }
  int64_t backlog_bytes() const override { return state_->backlog_bytes(); }
  void OnClientGone(std::function<void()> callback) override { state_->OnClientGone(std::move(callback)); }
  void OnDelivered(std::function<void(const RequestDelivery&)> callback) override { state_->OnDelivered(std::move(callback)); }

 private:
  const std::shared_ptr<ExchangeState> state_;
};

}  // namespace

std::shared_ptr<Exchange> MakeExchange(std::shared_ptr<ExchangeState> state) {
  return std::make_shared<SharedExchange>(std::move(state));
}

ExchangeState::ExchangeState(int64_t max_backlog_bytes, std::function<void()> wake)
    : max_backlog_bytes_(max_backlog_bytes), wake_(std::move(wake)) {}

void ExchangeState::Send(Response response) {
  std::function<void()> dropped_callback;
  std::lock_guard lock(mutex_);
  AUTOGLM_CHECK(phase_ == Phase::kUnanswered);
  dropped_callback.swap(on_gone_);
  AnswerLocked(std::move(response));
}

void ExchangeState::AnswerLocked(Response response) {
  phase_ = Phase::kAnswered;
  if (is_gone_) return;
  waiting_bytes_ += static_cast<int64_t>(response.body.size());
  batch_.head = std::move(response);
  batch_.is_ended = true;
  WakeLocked();
}

void ExchangeState::Start(Response head) {
  std::lock_guard lock(mutex_);
  AUTOGLM_CHECK(phase_ == Phase::kUnanswered);
  phase_ = Phase::kStreaming;
  if (is_gone_) return;
  batch_.head = std::move(head);
  batch_.is_streamed = true;
  WakeLocked();
}

void ExchangeState::Write(std::string data) {
  std::lock_guard lock(mutex_);
  AUTOGLM_CHECK(phase_ == Phase::kStreaming);
  if (is_gone_ || is_overflowed_ || data.empty()) return;
  const int64_t backlog = waiting_bytes_ + in_flight_bytes_;
  // One large write to an idle connection is not slowness; a write on top of a backlog is.
  if (backlog > 0 && backlog + static_cast<int64_t>(data.size()) > max_backlog_bytes_) {
    is_overflowed_ = true;
    is_wake_pending_ = false;
    WakeLocked();
    return;
  }
  waiting_bytes_ += static_cast<int64_t>(data.size());
  batch_.chunks.push_back(std::move(data));
  WakeLocked();
}

void ExchangeState::End() {
  std::function<void()> dropped_callback;
  std::lock_guard lock(mutex_);
  AUTOGLM_CHECK(phase_ == Phase::kStreaming);
  phase_ = Phase::kAnswered;
  dropped_callback.swap(on_gone_);
  if (is_gone_) return;
  batch_.is_ended = true;
  WakeLocked();
}

void ExchangeState::Drop() {
  std::function<void()> dropped_callback;
  std::lock_guard lock(mutex_);
  dropped_callback.swap(on_gone_);
  if (phase_ == Phase::kUnanswered) {
    AnswerLocked(RejectionResponse({500, "internal_error", "The server dropped the request without an answer."}));
  } else if (phase_ == Phase::kStreaming) {
    phase_ = Phase::kAnswered;
    batch_.is_abandoned = true;
    WakeLocked();
  }
}

void ExchangeState::OnClientGone(std::function<void()> callback) {
  {
    std::lock_guard lock(mutex_);
    if (phase_ == Phase::kAnswered) return;
    if (!is_gone_) {
      on_gone_ = std::move(callback);
      return;
    }
  }
  callback();
}

void ExchangeState::OnDelivered(std::function<void(const RequestDelivery&)> callback) {
  std::lock_guard lock(mutex_);
  on_delivered_ = std::move(callback);
}

int64_t ExchangeState::backlog_bytes() const {
  std::lock_guard lock(mutex_);
  return waiting_bytes_ + in_flight_bytes_;
}

ExchangeState::Batch ExchangeState::Take() {
  std::lock_guard lock(mutex_);
  is_wake_pending_ = false;
  // The bytes count as in flight from here on, so that the backlog never looks empty in between.
  in_flight_bytes_ += waiting_bytes_;
  waiting_bytes_ = 0;
  return std::exchange(batch_, Batch{});
}

void ExchangeState::SetInFlight(int64_t bytes) {
  std::lock_guard lock(mutex_);
  in_flight_bytes_ = bytes;
}

bool ExchangeState::is_overflowed() const {
  std::lock_guard lock(mutex_);
  return is_overflowed_;
}

void ExchangeState::Detach() {
  std::function<void()> dropped_wake;
  std::lock_guard lock(mutex_);
  dropped_wake.swap(wake_);
  is_gone_ = true;
  batch_ = Batch{};
  waiting_bytes_ = 0;
  in_flight_bytes_ = 0;
}

void ExchangeState::MarkGone() {
  Detach();
  std::function<void()> callback;
  {
    std::lock_guard lock(mutex_);
    callback.swap(on_gone_);
  }
  if (callback) callback();
}

void ExchangeState::MarkDelivered(const RequestDelivery& delivery) {
  std::function<void(const RequestDelivery&)> callback;
  {
    std::lock_guard lock(mutex_);
    callback.swap(on_delivered_);
  }
  if (callback) callback(delivery);
}

void ExchangeState::WakeLocked() {
  if (is_wake_pending_ || !wake_) return;
  is_wake_pending_ = true;
  wake_();
}

}  // namespace autoglm::http
