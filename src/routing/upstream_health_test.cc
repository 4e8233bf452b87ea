#include "routing/upstream_health.h"

#include <gtest/gtest.h>

namespace autoglm::routing {
namespace {

using std::chrono::seconds;

class UpstreamHealthTest : public testing::Test {
 protected:
  void Probe(bool succeeded, int times) {
    for (int i = 0; i < times; ++i) health_.OnProbe(succeeded, now_);
  }
  Availability At() const { return health_.At(now_); }

  TimePoint now_{seconds(100)};
  UpstreamHealth health_{{.slow_start = seconds(10), .breaker = {.failures_to_open = 2, .successes_to_close = 1}}};
};

TEST_F(UpstreamHealthTest, Probes_TakeThreeToFallAndTwoToRise) {
  Probe(false, 2);
  Probe(true, 1);
  Probe(false, 2);
  EXPECT_EQ(At(), Availability::kAvailable) << "one succeeded in between";
  Probe(false, 1);
  EXPECT_EQ(At(), Availability::kProbesFail);
  Probe(true, 1);
  EXPECT_EQ(At(), Availability::kProbesFail);
  Probe(true, 1);
  EXPECT_EQ(At(), Availability::kAvailable);
}

TEST_F(UpstreamHealthTest, FromTheStart_ItHasItsWholeShare) { EXPECT_EQ(health_.Share(now_), 1); }

TEST_F(UpstreamHealthTest, BackAgain_StartsSlowly) {
  Probe(false, 3);
  Probe(true, 2);
  EXPECT_EQ(health_.Share(now_), 0.1);
  now_ += seconds(5);
  EXPECT_EQ(health_.Share(now_), 0.5);
  now_ += seconds(5);
  EXPECT_EQ(health_.Share(now_), 1);
}

TEST_F(UpstreamHealthTest, BreakerThatCloses_StartsSlowlyToo) {
  for (int i = 0; i < 2; ++i) health_.OnFailure(health_.Enter(now_), now_);
  EXPECT_EQ(At(), Availability::kBreakerOpen);
  now_ += seconds(30);
  EXPECT_EQ(At(), Availability::kAvailable) << "for a trial";
  health_.OnSuccess(health_.Enter(now_), now_);
  EXPECT_EQ(health_.Share(now_), 0.1);
}

TEST_F(UpstreamHealthTest, Ejected_ComesBackByItself) {
  health_.Eject(now_ + seconds(30));
  health_.Eject(now_ + seconds(10));
  EXPECT_EQ(At(), Availability::kEjected);
  now_ += seconds(30);
  EXPECT_EQ(At(), Availability::kAvailable);
  EXPECT_EQ(health_.Share(now_), 0.1);
}

TEST_F(UpstreamHealthTest, Draining_ComesBeforeEverything) {
  Probe(false, 3);
  health_.SetDraining(true);
  EXPECT_EQ(At(), Availability::kDraining);
  EXPECT_EQ(AvailabilityName(At()), "draining");
}

}  // namespace
}  // namespace autoglm::routing
