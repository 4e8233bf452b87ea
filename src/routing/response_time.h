#pragma once

#include <optional>

#include "base/clock.h"

namespace autoglm::routing {

// How long an upstream takes to its first byte: a mean in which what is older counts less, by a factor e for each `memory`; and a
// penalty for failures. A host that fails fast is quick, and would be sent everything: each failure counts as time that passes
// slowly, at least as long as the host itself asks to be left alone (Linkerd learnt it in linkerd2-proxy PR 4537).
class ResponseTime {
 public:
  explicit ResponseTime(Duration memory) : memory_seconds_(Seconds(memory)) {}

  void Observe(Duration response_time, TimePoint now);
  // `retry_after`: what the host asked for; zero: nothing.
  void Penalize(Duration retry_after, TimePoint now);

  // Mean and penalty, both fading while nothing is observed; nullopt where nothing was yet.
  std::optional<double> SecondsAt(TimePoint now) const;

 private:
  double Faded(double value, TimePoint from, TimePoint to) const;
  double PenaltyAt(TimePoint now) const;

  double memory_seconds_;
  // Sums whose past fades, as of `updated_`.
  double seconds_ = 0;
  double count_ = 0;
  TimePoint updated_{};
  double penalty_seconds_ = 0;  // as of penalty_from_, from when on it fades
  TimePoint penalty_from_{};
};

}  // namespace autoglm::routing
