#pragma once

#include <cstdint>
#include <mutex>
#include <optional>

#include "base/clock.h"
#include "resilience/latency_quantile.h"

namespace autoglm::resilience {

struct HedgeOptions {
  double quantile = 0.95;  // of the time to the first byte: who takes longer is helped by a second attempt
  Duration least_delay = std::chrono::milliseconds(5);
  double max_share = 0.05;  // of requests, that get a second attempt
  int64_t max_burst = 10;   // of second attempts at once, from what was saved up
  int64_t min_count = 100;  // of first bytes seen, before anyone is hedged
  Duration window = std::chrono::seconds(30);

  bool operator==(const HedgeOptions&) const = default;
};

// When a request that has no first byte yet is sent to a second upstream too, and the slower of the two is given up (Dean,
// Barroso: The Tail at Scale, 2013). The share is bounded, so that an overload, where everyone is slow, does not become twice as
// large. Any thread.
class Hedging {
 public:
  Hedging(const HedgeOptions& options, const Clock& clock);

  // A request begins: after how long without a first byte to ask TryHedge. nullopt: never.
  std::optional<Duration> BeginRequest();
  void OnFirstByte(Duration response_time);
  // Whether a second attempt may begin now.
  [[nodiscard]] bool TryHedge();

 private:
  const HedgeOptions options_;
  const Clock& clock_;
  std::mutex mutex_;  // of all below
  LatencyQuantile first_bytes_;
  double saved_ = 0;  // second attempts
};

}  // namespace autoglm::resilience
