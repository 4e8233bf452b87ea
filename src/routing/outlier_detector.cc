#include "routing/outlier_detector.h"

#include <algorithm>

namespace autoglm::routing {
namespace {

double Share(int64_t part, int64_t all) { return all > 0 ? static_cast<double>(part) / static_cast<double>(all) : 0; }

}  // namespace

bool OutlierDetector::IsDue(TimePoint now) {
  if (next_ == TimePoint::min()) next_ = now + options_.interval;
  return now >= next_;
}

std::vector<size_t> OutlierDetector::Judge(std::span<OutlierCounts* const> upstreams, TimePoint now) {
  next_ = now + options_.interval;

  int64_t num_requests = 0;
  int64_t num_failures = 0;
  int64_t num_ejected = 0;
  for (const OutlierCounts* counts : upstreams) {
    num_requests += counts->num_requests;
    num_failures += counts->num_failures;
    num_ejected += now < counts->ejected_until ? 1 : 0;
  }
  const auto most = static_cast<int64_t>(options_.max_ejected * static_cast<double>(upstreams.size()));
  const int64_t may_eject = upstreams.size() > 1 ? std::max<int64_t>(1, most) - num_ejected : 0;

  // The worst first.
  std::vector<size_t> order(upstreams.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto failures = [&](size_t i) { return Share(upstreams[i]->num_failures, upstreams[i]->num_requests); };
  std::ranges::stable_sort(order, std::ranges::greater(), failures);
  std::vector<size_t> ejected;
  for (const size_t i : order) {
    OutlierCounts& counts = *upstreams[i];
    const double others = Share(num_failures - counts.num_failures, num_requests - counts.num_requests);
    const bool is_outlier = counts.num_requests >= options_.min_requests && failures(i) - others > options_.max_failures;
    if (is_outlier && std::ssize(ejected) < may_eject) {
      ++counts.num_ejections;
      counts.ejected_until = now + std::min(options_.ejected_for * counts.num_ejections, options_.ejected_for_max);
      ejected.push_back(i);
    } else if (counts.num_requests > 0 && !is_outlier) {
      counts.num_ejections = std::max(0, counts.num_ejections - 1);
    }
  }
  for (OutlierCounts* counts : upstreams) counts->num_requests = counts->num_failures = 0;
  return ejected;
}

}  // namespace autoglm::routing
