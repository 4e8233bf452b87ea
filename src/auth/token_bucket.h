#pragma once

#include <cstdint>

#include "base/clock.h"

namespace autoglm {

// A limit per minute: full it holds one minute's worth, and it fills evenly. Whole numbers throughout, so nothing is lost or won
// by rounding. Without a limit (0) everything passes. One thread at a time; every call brings the time.
class TokenBucket {
 public:
  int64_t limit() const { return limit_; }
  // What was taken before stays taken.
  void SetLimit(int64_t per_minute, TimePoint now);

  // How long until `count` can be taken, at most the limit; 0: at once.
  Duration WaitFor(int64_t count, TimePoint now);
  // May take more than there is: what comes next waits longer then.
  void Take(int64_t count, TimePoint now);
  // Never beyond full.
  void GiveBack(int64_t count, TimePoint now);

  // At least 0.
  int64_t Remaining(TimePoint now);
  Duration UntilFull(TimePoint now);

 private:
  // A token's share of what a minute of one token a minute brings: a nanosecond fills `limit` of these.
  using Share = __int128;
  static constexpr Share kPerToken = 60'000'000'000;

  Share Full() const { return limit_ * kPerToken; }
  void Advance(TimePoint now);
  Duration TimeFor(Share missing) const;

  int64_t limit_ = 0;
  Share taken_ = 0;  // at least 0; more than full is a debt
  TimePoint advanced_to_{};
};

}  // namespace autoglm
