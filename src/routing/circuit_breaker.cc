#include "routing/circuit_breaker.h"

#include <algorithm>

namespace autoglm::routing {

CircuitBreaker::State CircuitBreaker::state(TimePoint now) const {
  if (is_closed_) return State::kClosed;
  return now < open_until_ ? State::kOpen : State::kHalfOpen;
}

bool CircuitBreaker::Allows(TimePoint now) const {
  const State current = state(now);
  return current == State::kClosed || (current == State::kHalfOpen && num_trials_ < options_.max_trials);
}

CircuitBreaker::Pass CircuitBreaker::Enter(TimePoint now) {
  if (!Allows(now)) return Pass::kNone;
  if (is_closed_) return Pass::kNormal;
  ++num_trials_;
  return Pass::kTrial;
}

void CircuitBreaker::OnSuccess(Pass pass, TimePoint) {
  if (pass == Pass::kNormal && is_closed_) num_failures_ = 0;
  if (pass != Pass::kTrial) return;
  --num_trials_;
  if (is_closed_ || ++num_successes_ < options_.successes_to_close) return;
  is_closed_ = true;
  num_failures_ = 0;
  num_openings_ = 0;
}

void CircuitBreaker::OnFailure(Pass pass, TimePoint now) {
  if (pass == Pass::kTrial) {
    --num_trials_;
    if (!is_closed_) Open(now);
  } else if (pass == Pass::kNormal && is_closed_ && options_.failures_to_open > 0) {
    if (++num_failures_ >= options_.failures_to_open) Open(now);
  }
}

void CircuitBreaker::OnAbandoned(Pass pass) {
  if (pass == Pass::kTrial) --num_trials_;
}

void CircuitBreaker::Open(TimePoint now) {
  constexpr int kMaxDoublings = 16;
  const Duration wanted = options_.open_for * (1 << std::min(num_openings_, kMaxDoublings));
  is_closed_ = false;
  num_successes_ = 0;
  ++num_openings_;
  open_until_ = now + std::min(wanted, options_.open_for_max);
}

std::string_view BreakerStateName(CircuitBreaker::State state) {
  switch (state) {
    case CircuitBreaker::State::kClosed:
      return "closed";
    case CircuitBreaker::State::kOpen:
      return "open";
    case CircuitBreaker::State::kHalfOpen:
      return "half-open";
  }
  return "unknown";
}

}  // namespace autoglm::routing
