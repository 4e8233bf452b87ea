#include <algorithm>

#include "routing/scorers/scorers.h"

namespace autoglm::routing {

// What nobody has yet goes where the least is held: caches that are full evict what others will ask for again.
void ScorePrefix(const RoutingRequest& /*request*/, std::span<const Candidate> candidates, std::span<double> scores) {
  double most_matched = 0;
  double sum_held = 0;
  for (const Candidate& candidate : candidates) {
    most_matched = std::max(most_matched, candidate.matched_share);
    sum_held += candidate.held_prefixes;
  }
  const double mean_held = sum_held / static_cast<double>(candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i) {
    scores[i] = candidates[i].matched_share;
    if (mean_held <= 0) continue;
    const double room = std::clamp((mean_held - candidates[i].held_prefixes) / mean_held, -1.0, 1.0);
    scores[i] += (1 - most_matched) * room;
  }
}

}  // namespace autoglm::routing
