#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "json/json.h"

namespace autoglm::slo {

// Seconds since 1970.
using UnixSeconds = int64_t;

struct EventCounts {
  int64_t total = 0;
  int64_t bad = 0;

  double error_ratio() const { return total > 0 ? static_cast<double>(bad) / static_cast<double>(total) : 0; }
  bool operator==(const EventCounts&) const = default;
};

// Good and bad events of sliding windows up to `longest`, in memory that does not grow: buckets of 10 s for the last 6 hours, of
// 15 minutes for the rest. A window is off by one bucket at most. Time must not run backwards; events before the newest bucket
// count to it.
class SlidingCounts {
 public:
  explicit SlidingCounts(std::chrono::seconds longest);

  void Add(UnixSeconds now, bool is_bad, int64_t num_events = 1);
  // Of (now - window, now].
  EventCounts Sum(UnixSeconds now, std::chrono::seconds window) const;

  // As {"fine": [place, total, bad, ...], "coarse": [...]}.
  Json ToJson() const;
  // Adds what was saved, as far as it is not too old at `now`, nor from the future. Errors: kCorruptFile, which leaves all as it
  // was.
  Status Load(const Json& json, UnixSeconds now);

 private:
  struct Bucket {
    int64_t place = -1;  // time / width; -1: empty
    EventCounts counts;
  };
  struct Ring {
    int64_t width_s = 1;
    std::vector<Bucket> buckets;

    void Add(UnixSeconds time, const EventCounts& counts);
    EventCounts Sum(UnixSeconds now, std::chrono::seconds window) const;
    Json ToJson() const;
  };
  static Result<std::vector<Bucket>> ReadRing(const Json& json, std::string_view name);

  Ring fine_;
  Ring coarse_;
};

}  // namespace autoglm::slo
