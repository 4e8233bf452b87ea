#include "resilience/hedging.h"

#include <algorithm>

namespace autoglm::resilience {

Hedging::Hedging(const HedgeOptions& options, const Clock& clock)
    : options_(options), clock_(clock), first_bytes_(options.window) {}

std::optional<Duration> Hedging::BeginRequest() {
  const std::lock_guard lock(mutex_);
  saved_ = std::min(saved_ + options_.max_share, static_cast<double>(options_.max_burst));
  const std::optional<Duration> delay = first_bytes_.At(options_.quantile, options_.min_count, clock_.Now());
  if (!delay) return std::nullopt;
  return std::max(*delay, options_.least_delay);
}

void Hedging::OnFirstByte(Duration response_time) {
  const std::lock_guard lock(mutex_);
  first_bytes_.Observe(response_time, clock_.Now());
}

bool Hedging::TryHedge() {
  const std::lock_guard lock(mutex_);
  if (saved_ < 1) return false;
  saved_ -= 1;
  return true;
}

}  // namespace autoglm::resilience
