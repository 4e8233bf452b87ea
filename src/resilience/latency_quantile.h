#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace autoglm::resilience {

// A quantile of the durations of the last one to two windows, within a twelfth. Counts in 184 steps from 0.1 ms to 12 minutes, so
// observing costs a logarithm. One thread at a time.
class LatencyQuantile {
 public:
  explicit LatencyQuantile(Duration window) : window_(window) {}

  void Observe(Duration duration, TimePoint now);
  // `quantile` in (0, 1), rounded up to a step's end; nullopt below min_count observations.
  std::optional<Duration> At(double quantile, int64_t min_count, TimePoint now);

 private:
  static constexpr int kSteps = 184;
  struct Counts {
    std::array<int64_t, kSteps> steps = {};
    int64_t sum = 0;
  };

  static int StepOf(Duration duration);
  static Duration EndOf(int step);
  void Turn(TimePoint now);

  Duration window_;
  TimePoint window_end_ = TimePoint::min();
  Counts current_, last_;
};

}  // namespace autoglm::resilience
