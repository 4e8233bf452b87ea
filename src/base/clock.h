#pragma once

#include <chrono>

namespace autoglm {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

// Monotonic time, passed in by constructor so that tests decide what time it is.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() const = 0;

  static const Clock& Real();
};

class ManualClock : public Clock {
 public:
  TimePoint Now() const override { return now_; }
  void Advance(Duration by) { now_ += by; }

 private:
  TimePoint now_{};
};

inline double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }
// No more than Duration holds: three centuries.
inline Duration DurationFromSeconds(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

}  // namespace autoglm
