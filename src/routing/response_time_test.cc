#include "routing/response_time.h"

#include <gtest/gtest.h>

#include <cmath>

namespace autoglm::routing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(ResponseTime, NeverAsked_IsUnknown) { EXPECT_FALSE(ResponseTime(seconds(10)).SecondsAt(TimePoint(seconds(5)))); }

TEST(ResponseTime, ManyAtOnce_CountAlike) {
  ResponseTime time(seconds(10));
  const TimePoint now(seconds(100));
  for (const int ms : {10, 20, 60}) time.Observe(milliseconds(ms), now);
  EXPECT_NEAR(*time.SecondsAt(now), 0.030, 1e-9);
}

TEST(ResponseTime, OldOnes_FadeByTheirMemory) {
  ResponseTime time(seconds(10));
  time.Observe(milliseconds(100), TimePoint(seconds(100)));
  time.Observe(milliseconds(10), TimePoint(seconds(120)));
  const double old = std::exp(-2.0);
  EXPECT_NEAR(*time.SecondsAt(TimePoint(seconds(120))), (0.1 * old + 0.01) / (old + 1), 1e-9);
  const double mean = (0.1 * old + 0.01) / (old + 1);
  EXPECT_NEAR(*time.SecondsAt(TimePoint(seconds(130))), mean * std::exp(-1.0), 1e-9) << "unasked, it is worth another try later";
}

TEST(ResponseTime, FailureThatIsQuick_MakesItSlow) {
  ResponseTime time(seconds(10));
  TimePoint now(seconds(100));
  time.Observe(milliseconds(1), now);
  time.Penalize(Duration::zero(), now);
  EXPECT_NEAR(*time.SecondsAt(now), 1.001, 1e-9);
  now += seconds(30);
  EXPECT_NEAR(*time.SecondsAt(now), 1.001 * std::exp(-3.0), 1e-9) << "which fades";
}

TEST(ResponseTime, RetryAfter_HoldsThePenaltyAndIsItsLeast) {
  ResponseTime time(seconds(10));
  const TimePoint now(seconds(100));
  time.Penalize(seconds(7), now);
  EXPECT_NEAR(*time.SecondsAt(now + seconds(7)), 7, 1e-9);
  EXPECT_LT(*time.SecondsAt(now + seconds(17)), 2.6);
}

TEST(ResponseTime, ManyFailures_StayWithinABound) {
  ResponseTime time(seconds(10));
  const TimePoint now(seconds(100));
  for (int i = 0; i < 1000; ++i) time.Penalize(seconds(60), now);
  EXPECT_LE(*time.SecondsAt(now), 120);
}

}  // namespace
}  // namespace autoglm::routing
