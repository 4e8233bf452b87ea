#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "guard/local_limits.h"
#include "guard/redis_limits.h"
#include "guard/usage_limits.h"

namespace autoglm::guard {

// Limits that several gateways share through a Redis; while it is away, what the configuration says for that.
class SharedLimits final : public UsageLimits {
 public:
  // Of what a request holds in Redis; see RedisLimits.
  static constexpr std::chrono::milliseconds kLease{30'000};

  SharedLimits(gateway::RedisConfig config, std::unique_ptr<LocalLimits> alone, GuardHooks hooks,
               std::chrono::milliseconds lease = kLease);
  ~SharedLimits() override;

  std::optional<Granted> Acquire(const Principal& principal, const UsageEstimate& estimate, http::EventLoop& loop,
                                 std::function<void(Granted)> done) override;
  void Leave(http::EventLoop& loop) override;

 private:
  // What answers that come later need: they may come while this is being destroyed.
  struct State;

  std::shared_ptr<RedisLimits> LimitsAt(http::EventLoop& loop);

  const std::shared_ptr<State> state_;
  std::mutex mutex_;
  std::unordered_map<http::EventLoop*, std::shared_ptr<RedisLimits>> by_loop_;
};

}  // namespace autoglm::guard
