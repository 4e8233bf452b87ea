#include "resilience/latency_quantile.h"

#include <algorithm>
#include <cmath>

namespace autoglm::resilience {
namespace {

constexpr double kLeastSeconds = 1e-4;
constexpr double kStepsPerDoubling = 8;  // each 9 % longer than the one before

}  // namespace

int LatencyQuantile::StepOf(Duration duration) {
  const double seconds = Seconds(duration);
  if (!(seconds > kLeastSeconds)) return 0;
  const double step = std::ceil(std::log2(seconds / kLeastSeconds) * kStepsPerDoubling);
  return static_cast<int>(std::min<double>(step, kSteps - 1));
}

Duration LatencyQuantile::EndOf(int step) { return DurationFromSeconds(kLeastSeconds * std::exp2(step / kStepsPerDoubling)); }

void LatencyQuantile::Turn(TimePoint now) {
  if (now < window_end_) return;
  // What is older than a whole window before this one is nobody's any more.
  last_ = window_end_ != TimePoint::min() && now - window_end_ < window_ ? current_ : Counts();
  current_ = {};
  window_end_ = now + window_;
}

void LatencyQuantile::Observe(Duration duration, TimePoint now) {
  Turn(now);
  ++current_.steps[static_cast<size_t>(StepOf(duration))];
  ++current_.sum;
}

std::optional<Duration> LatencyQuantile::At(double quantile, int64_t min_count, TimePoint now) {
  Turn(now);
  const int64_t sum = current_.sum + last_.sum;
  if (sum == 0 || sum < min_count) return std::nullopt;
  auto left = static_cast<int64_t>(std::ceil(quantile * static_cast<double>(sum)));
  for (int step = 0; step < kSteps; ++step) {
    left -= current_.steps[static_cast<size_t>(step)] + last_.steps[static_cast<size_t>(step)];
    if (left <= 0) return EndOf(step);
  }
  return EndOf(kSteps - 1);
}

}  // namespace autoglm::resilience
