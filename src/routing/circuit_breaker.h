#pragma once

#include <string_view>

#include "base/clock.h"

namespace autoglm::routing {

struct BreakerOptions {
  int failures_to_open = 5;  // one after the other; 0: never opens
  Duration open_for = std::chrono::seconds(30);
  Duration open_for_max = std::chrono::minutes(5);  // it doubles with every trial that fails
  int max_trials = 1;                               // at a time, once it is half open
  int successes_to_close = 2;

  bool operator==(const BreakerOptions&) const = default;
};

// Keeps requests from an upstream that fails: closed, it lets them through and counts failures; open, it lets none through for a
// while; half open, a few trials, which decide. What was sent before it opened decides nothing afterwards.
class CircuitBreaker {
 public:
  enum class State { kClosed, kOpen, kHalfOpen };
  enum class Pass { kNone, kNormal, kTrial };  // what a request was let through as

  explicit CircuitBreaker(const BreakerOptions& options) : options_(options) {}

  State state(TimePoint now) const;
  bool Allows(TimePoint now) const;
  // Of a request that is sent now; kNone where Allows says no, and the request goes all the same.
  Pass Enter(TimePoint now);
  void OnSuccess(Pass pass, TimePoint now);
  void OnFailure(Pass pass, TimePoint now);
  // It ended without telling anything.
  void OnAbandoned(Pass pass);

 private:
  void Open(TimePoint now);

  BreakerOptions options_;
  bool is_closed_ = true;
  int num_failures_ = 0;  // in a row, while closed
  int num_trials_ = 0;    // at work
  int num_successes_ = 0;
  int num_openings_ = 0;  // since it was last closed
  TimePoint open_until_{};
};

// "closed", "open", "half-open".
std::string_view BreakerStateName(CircuitBreaker::State state);

}  // namespace autoglm::routing
