#include <algorithm>

#include "routing/scorers/scorers.h"

namespace autoglm::routing {

void ScorePrefix(const RoutingRequest& request, std::span<const Candidate> candidates, std::span<double> scores) {
  const auto num_blocks = static_cast<double>(std::max<size_t>(1, request.prefix.size()));
  for (size_t i = 0; i < candidates.size(); ++i) {
    scores[i] = static_cast<double>(candidates[i].num_matched_blocks) / num_blocks;
  }
}

}  // namespace autoglm::routing
