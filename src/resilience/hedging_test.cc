#include "resilience/hedging.h"

#include <gtest/gtest.h>

namespace autoglm::resilience {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class HedgingTest : public testing::Test {
 protected:
  HedgingTest() { clock_.Advance(seconds(100)); }
  // Requests of which one in twenty takes ten times as long.
  void Serve(int count) {
    for (int i = 0; i < count; ++i) {
      hedging_.BeginRequest();
      hedging_.OnFirstByte(milliseconds(i % 25 == 0 ? 200 : 20));
    }
  }

  ManualClock clock_;
  Hedging hedging_{{}, clock_};
};

TEST_F(HedgingTest, BeforeEnoughIsKnown_NobodyIsHedged) {
  Serve(99);
  EXPECT_FALSE(hedging_.BeginRequest());
}

TEST_F(HedgingTest, WhoTakesLongerThanMost_IsHedged) {
  Serve(1000);
  const std::optional<Duration> delay = hedging_.BeginRequest();
  ASSERT_TRUE(delay);
  EXPECT_GE(*delay, milliseconds(20));
  EXPECT_LE(*delay, milliseconds(22));
}

TEST_F(HedgingTest, Quick_WaitsTheLeastDelay) {
  for (int i = 0; i < 200; ++i) hedging_.OnFirstByte(std::chrono::microseconds(300));
  EXPECT_EQ(hedging_.BeginRequest(), milliseconds(5));
}

TEST_F(HedgingTest, SecondAttempts_AreATwentiethOfRequestsAtMost) {
  int num_hedges = 0;
  for (int i = 0; i < 1000; ++i) {
    hedging_.BeginRequest();
    num_hedges += hedging_.TryHedge() ? 1 : 0;
  }
  EXPECT_NEAR(num_hedges, 50, 1) << "though every one asked";
}

TEST_F(HedgingTest, Saved_AreNoMoreThanABurst) {
  Serve(10'000);
  int num_hedges = 0;
  while (hedging_.TryHedge()) ++num_hedges;
  EXPECT_EQ(num_hedges, 10);
}

}  // namespace
}  // namespace autoglm::resilience
