#include "routing/response_time.h"

#include <algorithm>
#include <cmath>

namespace autoglm::routing {
namespace {

// A failure counts as so many of the host's own response times more, and so long at least.
constexpr double kPenaltyTimes = 4;
constexpr double kPenaltySecondsMin = 1;
constexpr double kPenaltySecondsMax = 120;

}  // namespace

double ResponseTime::Faded(double value, TimePoint from, TimePoint to) const {
  return to <= from ? value : value * std::exp(-Seconds(to - from) / memory_seconds_);
}

void ResponseTime::Observe(Duration response_time, TimePoint now) {
  seconds_ = Faded(seconds_, updated_, now) + Seconds(response_time);
  count_ = Faded(count_, updated_, now) + 1;
  updated_ = std::max(updated_, now);
}

void ResponseTime::Penalize(Duration retry_after, TimePoint now) {
  const double mean = count_ > 0 ? seconds_ / count_ : 0;
  const double more = std::max({kPenaltyTimes * mean, kPenaltySecondsMin, Seconds(retry_after)});
  penalty_seconds_ = std::min(PenaltyAt(now) + more, kPenaltySecondsMax);
  penalty_from_ = std::max(penalty_from_, now + retry_after);
}

double ResponseTime::PenaltyAt(TimePoint now) const { return Faded(penalty_seconds_, penalty_from_, now); }

std::optional<double> ResponseTime::SecondsAt(TimePoint now) const {
  if (count_ <= 0 && penalty_seconds_ <= 0) return std::nullopt;
  // Who is not asked fades as well, until it is worth another try: else one slow answer would keep it out for ever.
  return Faded(count_ > 0 ? seconds_ / count_ : 0, updated_, now) + PenaltyAt(now);
}

}  // namespace autoglm::routing
