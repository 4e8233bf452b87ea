#include <algorithm>
#include <numeric>

#include "routing/scorers/scorers.h"

namespace autoglm::routing {

void ScoreBelowMean(std::span<double> costs_to_scores, double least) {
  const double sum = std::accumulate(costs_to_scores.begin(), costs_to_scores.end(), 0.0);
  const double mean = sum / static_cast<double>(costs_to_scores.size());
  for (double& value : costs_to_scores) value = (mean - value) / std::max(least, mean);
}

void ScoreLoad(const RoutingRequest&, std::span<const Candidate> candidates, std::span<double> scores) {
  for (size_t i = 0; i < candidates.size(); ++i) scores[i] = candidates[i].Load();
  // One request alone is a load of 1: it is not to outweigh what an idle pool knows better.
  constexpr double kLeastMean = 4;
  ScoreBelowMean(scores, kLeastMean);
}

}  // namespace autoglm::routing
