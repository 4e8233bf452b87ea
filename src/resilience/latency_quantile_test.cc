#include "resilience/latency_quantile.h"

#include <gtest/gtest.h>

namespace autoglm::resilience {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LatencyQuantileTest : public testing::Test {
 protected:
  void Observe(int ms, int times = 1) {
    for (int i = 0; i < times; ++i) quantile_.Observe(milliseconds(ms), now_);
  }
  double Ms(double quantile) { return Seconds(quantile_.At(quantile, 1, now_).value_or(Duration::zero())) * 1e3; }

  TimePoint now_{seconds(100)};
  LatencyQuantile quantile_{seconds(30)};
};

TEST_F(LatencyQuantileTest, Values_ComeBackWithinATwelfthAndNeverTooSmall) {
  for (const int ms : {1, 3, 10, 47, 200, 999, 4321, 65'000}) {
    quantile_ = LatencyQuantile(seconds(30));
    Observe(ms);
    EXPECT_GE(Ms(0.5), ms * 0.999999) << ms;
    EXPECT_LE(Ms(0.5), ms * (1 + 1.0 / 11)) << ms;
  }
}

TEST_F(LatencyQuantileTest, OfMany_TheRightOne) {
  for (int ms = 1; ms <= 1000; ++ms) Observe(ms);
  EXPECT_NEAR(Ms(0.5), 500, 46);
  EXPECT_NEAR(Ms(0.95), 950, 87);
  EXPECT_NEAR(Ms(0.999), 1000, 91);
}

TEST_F(LatencyQuantileTest, TooFew_SayNothing) {
  Observe(10, 99);
  EXPECT_FALSE(quantile_.At(0.95, 100, now_));
  Observe(10);
  EXPECT_TRUE(quantile_.At(0.95, 100, now_));
}

TEST_F(LatencyQuantileTest, OldOnes_AreForgottenAfterTwoWindows) {
  Observe(1000, 100);
  now_ += seconds(31);
  Observe(10, 10);
  EXPECT_GT(Ms(0.95), 900) << "the window before counts";
  now_ += seconds(31);
  EXPECT_LT(Ms(0.95), 12);
  now_ += seconds(90);
  EXPECT_FALSE(quantile_.At(0.95, 1, now_));
}

TEST_F(LatencyQuantileTest, Extremes_StayWithin) {
  quantile_.Observe(Duration::zero(), now_);
  EXPECT_NEAR(Ms(0.5), 0.1, 1e-6);
  quantile_ = LatencyQuantile(seconds(30));
  quantile_.Observe(std::chrono::hours(5), now_);
  EXPECT_GT(Ms(0.5), 0);
}

}  // namespace
}  // namespace autoglm::resilience
