#include <algorithm>
#include <limits>

#include "routing/scorers/scorers.h"

namespace autoglm::routing {

void ScoreResponseTime(const RoutingRequest&, std::span<const Candidate> candidates, std::span<double> scores) {
  double quickest = std::numeric_limits<double>::infinity();
  for (const Candidate& candidate : candidates) quickest = std::min(quickest, candidate.response_seconds.value_or(quickest));
  if (quickest == std::numeric_limits<double>::infinity()) quickest = 1;  // nobody was asked yet: the load decides
  for (size_t i = 0; i < candidates.size(); ++i) {
    scores[i] = candidates[i].response_seconds.value_or(quickest) * candidates[i].Load();
  }
  constexpr double kLeastMeanSeconds = 1e-3;
  ScoreBelowMean(scores, kLeastMeanSeconds);
}

}  // namespace autoglm::routing
