#include <algorithm>
#include <limits>

#include "routing/scorers/scorers.h"

namespace autoglm::routing {

void ScoreRegion(const RoutingRequest& request, std::span<const Candidate> candidates, std::span<double> scores) {
  constexpr double kLeastSeconds = 1e-4;
  double nearest = std::numeric_limits<double>::infinity();
  for (const Candidate& candidate : candidates) nearest = std::min(nearest, candidate.round_trip_seconds.value_or(nearest));
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& candidate = candidates[i];
    if (!request.region.empty() && candidate.spec->region == request.region) {
      scores[i] = 1;
    } else if (candidate.round_trip_seconds) {
      scores[i] = 0.5 * std::max(nearest, kLeastSeconds) / std::max(*candidate.round_trip_seconds, kLeastSeconds);
    } else {
      scores[i] = 0;
    }
  }
}

}  // namespace autoglm::routing
