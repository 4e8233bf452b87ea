#include <xxhash.h>

#include <algorithm>
#include <cmath>

#include "routing/scorers/scorers.h"

namespace autoglm::routing {
// Weighted rendezvous: the largest of -weight / ln(u), u in (0, 1) by hash (Schindelhauer, Schomaker 2005).
void ScoreSession(const RoutingRequest& request, std::span<const Candidate> candidates, std::span<double> scores) {
  std::ranges::fill(scores, 0.0);
  if (request.session.empty()) return;
  const uint64_t session = XXH3_64bits(request.session.data(), request.session.size());
  size_t best = 0;
  double most = -1;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const std::string& name = candidates[i].spec->name;
    const uint64_t hash = XXH3_64bits_withSeed(name.data(), name.size(), session);
    const double u = (static_cast<double>(hash >> 11) + 0.5) * 0x1.0p-53;
    const double value = -candidates[i].spec->weight / std::log(u);
    if (value <= most) continue;
    most = value;
    best = i;
  }
  scores[best] = 1;
}

}  // namespace autoglm::routing
