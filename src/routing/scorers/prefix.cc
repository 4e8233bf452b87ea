#include "routing/scorers/scorers.h"

namespace autoglm::routing {

void ScorePrefix(const RoutingRequest& /*request*/, std::span<const Candidate> candidates, std::span<double> scores) {
  for (size_t i = 0; i < candidates.size(); ++i) scores[i] = candidates[i].matched_share;
}

}  // namespace autoglm::routing
