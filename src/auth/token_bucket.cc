#include "auth/token_bucket.h"

#include <algorithm>

namespace autoglm {

void TokenBucket::SetLimit(int64_t per_minute, TimePoint now) {
  Advance(now);
  limit_ = per_minute;
}

Duration TokenBucket::WaitFor(int64_t count, TimePoint now) {
  Advance(now);
  return TimeFor(taken_ + std::min(count, limit_) * kPerToken - Full());
}

void TokenBucket::Take(int64_t count, TimePoint now) {
  Advance(now);
  if (limit_ > 0) taken_ += count * kPerToken;
}

void TokenBucket::GiveBack(int64_t count, TimePoint now) {
  Advance(now);
  taken_ = std::max<Share>(taken_ - count * kPerToken, 0);
}

int64_t TokenBucket::Remaining(TimePoint now) {
  Advance(now);
  return static_cast<int64_t>(std::max<Share>(Full() - taken_, 0) / kPerToken);
}

Duration TokenBucket::UntilFull(TimePoint now) {
  Advance(now);
  return TimeFor(taken_);
}

void TokenBucket::Advance(TimePoint now) {
  if (now <= advanced_to_) return;
  taken_ = std::max<Share>(taken_ - Share{(now - advanced_to_).count()} * limit_, 0);
  advanced_to_ = now;
}

// Rounded up: a moment earlier it is not enough.
Duration TokenBucket::TimeFor(Share missing) const {
  if (missing <= 0 || limit_ == 0) return {};
  const Share nanoseconds = (missing + limit_ - 1) / limit_;
  return Duration(static_cast<int64_t>(std::min<Share>(nanoseconds, INT64_MAX / 2)));
}

}  // namespace autoglm
