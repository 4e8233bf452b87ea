#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/clock.h"

namespace autoglm::routing {

struct OutlierOptions {
  Duration interval = std::chrono::seconds(10);
  int64_t min_requests = 20;                        // in an interval, of an upstream that is judged
  double max_failures = 0.1;                        // more above the others' share of failures than this makes an outlier
  Duration ejected_for = std::chrono::seconds(30);  // times how often it was ejected, which is forgotten one interval at a time
  Duration ejected_for_max = std::chrono::minutes(5);
  double max_ejected = 0.1;  // of the upstreams; one may always be, where there are others

  bool operator==(const OutlierOptions&) const = default;
};

// What an upstream did in the interval that goes on, and how often it was ejected.
struct OutlierCounts {
  int64_t num_requests = 0;
  int64_t num_failures = 0;
  int num_ejections = 0;
  TimePoint ejected_until = TimePoint::min();
};

// Finds upstreams that fail more often than the others do in the same interval: what all of them fail at is nobody's fault. The
// breaker, which looks at one upstream alone and at failures in a row, is blind to a tenth of requests that fail.
class OutlierDetector {
 public:
  explicit OutlierDetector(const OutlierOptions& options) : options_(options) {}

  // Whether an interval has ended.
  bool IsDue(TimePoint now);
  // Judges all upstreams by the interval that has ended, sets `ejected_until` of those that are ejected, and begins the next
  // interval. The indexes of those.
  std::vector<size_t> Judge(std::span<OutlierCounts* const> upstreams, TimePoint now);

 private:
  OutlierOptions options_;
  TimePoint next_ = TimePoint::min();
};

}  // namespace autoglm::routing
