#pragma once

#include <atomic>
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

  std::optional<Granted> Acquire(const Principal& principal, const UsageEstimate& estimate, http::EventLoop& loop,
                                 std::function<void(Granted)> done) override;
  void Leave(http::EventLoop& loop) override;

 private:
  std::shared_ptr<RedisLimits> LimitsAt(http::EventLoop& loop);
  SharedRequest RequestOf(const Principal& principal, const UsageEstimate& estimate) const;
  Granted AnswerAlone(const Principal& principal, const UsageEstimate& estimate);

  const gateway::RedisConfig config_;
  const std::unique_ptr<LocalLimits> alone_;
  const GuardHooks hooks_;
  const std::chrono::milliseconds lease_;
  std::atomic<int64_t> num_lost_{0};  // loops whose connection is lost
  std::mutex mutex_;
  std::unordered_map<http::EventLoop*, std::shared_ptr<RedisLimits>> by_loop_;
};

}  // namespace autoglm::guard
