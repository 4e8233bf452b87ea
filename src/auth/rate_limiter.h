#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <tl/expected.hpp>
#include <unordered_map>

#include "auth/principal.h"
#include "auth/rate_limits.h"
#include "base/clock.h"
#include "base/result.h"

namespace autoglm {

// The right to run one request. Destroyed, it gives its place among the concurrent requests back, and, where it was never
// settled, all the tokens it reserved. It may outlive changes of the policy, but not the clock. One thread at a time.
class Permit {
 public:
  Permit(Permit&& other) noexcept = default;
  Permit& operator=(Permit&& other) noexcept;
  ~Permit();

  // Once: what was really used. The difference to the reserve is given back or, where it is more, taken.
  void Settle(int64_t tokens);
  // As they were when the permit was given, the reserve taken.
  const RateLimits& limits() const { return limits_; }

 private:
  friend class RateLimiter;
  struct KeyState;
  Permit() = default;
  void Release();

  std::shared_ptr<KeyState> state_;  // nullptr: no limits, or moved from
  int64_t reserved_tokens_ = 0;      // 0 once settled
  bool is_settled_ = false;
  RateLimits limits_;
};

// Requests and tokens per minute, and requests at the same time, of each key. Any thread.
class RateLimiter {
 public:
  struct Refusal {
    Error error;  // kResourceExhausted, says which limit
    int64_t retry_after_seconds = 0;
    RateLimits state;
  };

  // Of the limits of `policy` the one that is in the way, for `wait`, which is told in seconds, rounded up. Also for those who
  // count elsewhere.
  enum class Limit { kConcurrent, kRequests, kTokens };
  static Refusal Refuse(Limit limit, const Policy& policy, Duration wait, const RateLimits& state);
  static bool HasLimits(const Policy& policy);

  explicit RateLimiter(const Clock& clock) : clock_(clock) {}

  // Takes one request and reserves `tokens`: the prompt, and the most the answer may have. A reserve larger than a minute's worth
  // is cut to that, so no request is refused for its size. Until it is settled the whole reserve counts: requests side by side
  // never exceed a limit. A refusal takes nothing; of several limits that are reached, it tells of the one that takes longest,
  // exactly to the second, rounded up (1 where others of the key must end first).
  tl::expected<Permit, Refusal> Acquire(const Principal& principal, int64_t tokens);

  // Keys of which something is remembered: at most kMaxKeyStates, and none that has been idle long enough to have all its limits.
  int64_t num_keys() const;

 private:
  using KeyState = Permit::KeyState;
  static constexpr size_t kMaxKeyStates = 100'000;

  std::shared_ptr<KeyState> StateOf(const std::string& key_id, TimePoint now);
  void ForgetIdle(TimePoint now);  // with mutex_

  const Clock& clock_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<KeyState>> states_;
  TimePoint next_forgetting_{};
};

}  // namespace autoglm
