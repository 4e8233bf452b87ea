#include <algorithm>

#include "routing/scorers/scorers.h"

namespace autoglm::routing {

void ScoreBusy(const RoutingRequest&, std::span<const Candidate> candidates, std::span<double> scores) {
  for (size_t i = 0; i < candidates.size(); ++i) {
    const std::optional<UpstreamReport>& report = candidates[i].report;
    if (!report) {
      scores[i] = 0.5;
      continue;
    }
    // One that waits halves it, as half of the memory does.
    const double waiting = 1.0 / static_cast<double>(1 + std::max<int64_t>(0, report->num_waiting));
    scores[i] = waiting * (1 - std::clamp(report->kv_usage, 0.0, 1.0));
  }
}

}  // namespace autoglm::routing
