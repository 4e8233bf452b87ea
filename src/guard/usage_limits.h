#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "auth/principal.h"
#include "auth/rate_limiter.h"
#include "auth/rate_limits.h"
#include "auth/wall_time.h"
#include "base/clock.h"
#include "base/result.h"
#include "config/gateway_config.h"
#include "http/event_loop.h"

namespace autoglm::guard {

// The most a request may use, as far as it is known beforehand.
struct UsageEstimate {
  std::string model;  // what prices go by
  int64_t input_tokens = 0;
  int64_t max_output_tokens = 0;
};

// The right to run one request. Destroyed, it gives its place among the concurrent requests back, and, where it was never
// settled, everything it reserved. On the loop's thread where it was acquired; it may outlive the UsageLimits.
class Usage {
 public:
  explicit Usage(RateLimits limits) : limits_(limits) {}
  virtual ~Usage() = default;
  Usage(const Usage&) = delete;
  Usage& operator=(const Usage&) = delete;

  // Once: what was really used, also by a request that was broken off. It counts when this is destroyed, at the latest.
  virtual void Settle(int64_t input_tokens, int64_t output_tokens) = 0;
  // As they were when this was granted, the reserve taken; for x-ratelimit-* headers.
  const RateLimits& limits() const { return limits_; }

 private:
  const RateLimits limits_;
};

// kResourceExhausted says which limit is reached, and kUnavailable that nobody can tell; retry_after_seconds is 0 where waiting
// does not help.
using Refusal = RateLimiter::Refusal;
using Granted = tl::expected<std::unique_ptr<Usage>, Refusal>;

struct UsageLimitOptions {
  std::optional<gateway::RedisConfig> redis;  // nullopt: this process counts for itself
  std::filesystem::path budget_database;      // empty: what budgets have used is forgotten at the end
  std::vector<gateway::PriceConfig> prices;
};

// Called from any thread.
struct GuardHooks {
  std::function<WallTime()> wall_now = std::chrono::system_clock::now;
  // Something is amiss that goes on without anybody's help; once for each new problem.
  std::function<void(const Error&)> on_problem = [](const Error&) {};
  // What was amiss with `what` ("redis") is over.
  std::function<void(std::string_view what)> on_recovery = [](std::string_view) {};
};

// Who may do how much: requests and tokens per minute, requests at the same time, budgets. Any thread.
class UsageLimits {
 public:
  // Nothing is connected yet: a Redis that is away is no error. Errors: those of the budget database.
  static Result<std::unique_ptr<UsageLimits>> Create(UsageLimitOptions options, const Clock& clock, GuardHooks hooks = {});
  virtual ~UsageLimits() = default;

  // On `loop`'s thread. The answer, at once where it is known here; else nullopt, and `done` comes later on that thread, never
  // from within this call. Who has gone away by then lets the Granted go, which gives it back. A refusal takes nothing.
  //
  // A reserve larger than a limit is cut to that, so no request is refused for its size alone. Until it is settled the whole
  // reserve counts: requests side by side never exceed a limit.
  [[nodiscard]] virtual std::optional<Granted> Acquire(const Principal& principal, const UsageEstimate& estimate,
                                                       http::EventLoop& loop, std::function<void(Granted)> done) = 0;

  // On `loop`'s thread, as the last thing there: what was waited for on it does not come any more. Needed before the loop goes.
  virtual void Leave(http::EventLoop& loop) = 0;
};

}  // namespace autoglm::guard
