#include "auth/rate_limiter.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "auth/token_bucket.h"
#include "base/check.h"

namespace autoglm {

struct Permit::KeyState {
  explicit KeyState(const Clock& used_clock) : clock(used_clock) {}

  const Clock& clock;
  std::mutex mutex;  // for all below
  TokenBucket requests;
  TokenBucket tokens;
  int64_t num_running = 0;

  RateLimits Limits(TimePoint now) {
    const auto state_of = [now](TokenBucket& bucket) {
      return RateLimits::PerMinute{.limit = bucket.limit(), .remaining = bucket.Remaining(now), .reset = bucket.UntilFull(now)};
    };
    return {.requests = state_of(requests), .tokens = state_of(tokens)};
  }
  bool IsFull(TimePoint now) {
    return num_running == 0 && requests.UntilFull(now) == Duration() && tokens.UntilFull(now) == Duration();
  }
};

namespace {

// A full bucket takes a minute to empty and to fill; looking more often finds little to forget.
constexpr std::chrono::seconds kForgetInterval{10};
constexpr std::chrono::seconds kFullWait{60};

struct Obstacle {
  Duration wait;
  RateLimiter::Limit limit;
};

RateLimiter::Refusal MakeRefusal(std::string_view limit, Duration wait, const RateLimits& state) {
  const int64_t seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
  return {.error = {.code = ErrorCode::kResourceExhausted,
                    .message = fmt::format("the limit of {} is reached; try again in {} s", limit, seconds)},
          .retry_after_seconds = seconds,
          .state = state};
}

}  // namespace

Permit& Permit::operator=(Permit&& other) noexcept {
  if (this == &other) return *this;
  Release();
  state_ = std::move(other.state_);
  reserved_tokens_ = other.reserved_tokens_;
  is_settled_ = other.is_settled_;
  limits_ = other.limits_;
  return *this;
}

Permit::~Permit() { Release(); }

void Permit::Release() {
  if (state_ == nullptr) return;
  const std::lock_guard lock(state_->mutex);
  --state_->num_running;
  state_->tokens.GiveBack(reserved_tokens_, state_->clock.Now());
}

void Permit::Settle(int64_t tokens) {
  AUTOGLM_CHECK(!std::exchange(is_settled_, true));
  if (state_ == nullptr) return;
  const std::lock_guard lock(state_->mutex);
  const TimePoint now = state_->clock.Now();
  const int64_t more = std::clamp<int64_t>(tokens, 0, kMaxPolicyLimit) - std::exchange(reserved_tokens_, 0);
  if (more > 0) state_->tokens.Take(more, now);
  if (more < 0) state_->tokens.GiveBack(-more, now);
}

RateLimiter::Refusal RateLimiter::Refuse(Limit limit, const Policy& policy, Duration wait, const RateLimits& state) {
  const auto text = [limit, &policy] {
    switch (limit) {
      case Limit::kConcurrent:
        return fmt::format("{} requests at the same time", policy.max_concurrent);
      case Limit::kRequests:
        return fmt::format("{} requests per minute", policy.requests_per_minute);
      case Limit::kTokens:
        return fmt::format("{} tokens per minute", policy.tokens_per_minute);
    }
    return std::string();
  };
  return MakeRefusal(text(), wait, state);
}

bool RateLimiter::HasLimits(const Policy& policy) {
  return policy.requests_per_minute > 0 || policy.tokens_per_minute > 0 || policy.max_concurrent > 0;
}

tl::expected<Permit, RateLimiter::Refusal> RateLimiter::Acquire(const Principal& principal, int64_t tokens) {
  const Policy& policy = principal.policy;
  Permit permit;
  if (!HasLimits(policy)) return permit;
  std::shared_ptr<KeyState> state = StateOf(principal.key_id, clock_.Now());
  if (state == nullptr) return tl::unexpected(MakeRefusal("keys in use at the same time", kFullWait, {}));

  const std::lock_guard lock(state->mutex);
  const TimePoint now = clock_.Now();
  state->requests.SetLimit(policy.requests_per_minute, now);
  state->tokens.SetLimit(policy.tokens_per_minute, now);
  const int64_t reserve = std::clamp<int64_t>(tokens, 0, policy.tokens_per_minute);

  std::optional<Obstacle> obstacle;
  const auto consider = [&obstacle](Duration wait, Limit limit) {
    if (wait > Duration() && (!obstacle || obstacle->wait < wait)) obstacle = {wait, limit};
  };
  const bool is_crowded = policy.max_concurrent > 0 && state->num_running >= policy.max_concurrent;
  consider(is_crowded ? std::chrono::seconds(1) : Duration(), Limit::kConcurrent);
  consider(state->requests.WaitFor(1, now), Limit::kRequests);
  consider(state->tokens.WaitFor(reserve, now), Limit::kTokens);
  if (obstacle) return tl::unexpected(Refuse(obstacle->limit, policy, obstacle->wait, state->Limits(now)));

  state->requests.Take(1, now);
  state->tokens.Take(reserve, now);
  ++state->num_running;
  permit.limits_ = state->Limits(now);
  permit.reserved_tokens_ = reserve;
  permit.state_ = state;
  return permit;
}

int64_t RateLimiter::num_keys() const {
  const std::lock_guard lock(mutex_);
  return std::ssize(states_);
}

std::shared_ptr<RateLimiter::KeyState> RateLimiter::StateOf(const std::string& key_id, TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (now >= next_forgetting_) ForgetIdle(now);
  if (const auto found = states_.find(key_id); found != states_.end()) return found->second;
  if (states_.size() >= kMaxKeyStates) return nullptr;
  return states_.emplace(key_id, std::make_shared<KeyState>(clock_)).first->second;
}

// Only this lock hands states out, so a state that nobody else holds here is held by nobody.
void RateLimiter::ForgetIdle(TimePoint now) {
  next_forgetting_ = now + kForgetInterval;
  std::erase_if(states_, [now](const auto& entry) {
    KeyState& state = *entry.second;
    const std::lock_guard lock(state.mutex);
    return entry.second.use_count() == 1 && state.IsFull(now);
  });
}

}  // namespace autoglm
