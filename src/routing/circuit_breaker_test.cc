#include "routing/circuit_breaker.h"

#include <gtest/gtest.h>

namespace autoglm::routing {
namespace {

using std::chrono::seconds;
using State = CircuitBreaker::State;
using Pass = CircuitBreaker::Pass;

class CircuitBreakerTest : public testing::Test {
 protected:
  void Fail(int times) {
    for (int i = 0; i < times; ++i) breaker_.OnFailure(breaker_.Enter(now_), now_);
  }
  State state() const { return breaker_.state(now_); }

  TimePoint now_{seconds(100)};
  CircuitBreaker breaker_{{.failures_to_open = 3, .open_for = seconds(30), .open_for_max = seconds(100)}};
};

TEST_F(CircuitBreakerTest, FailuresInARow_OpenIt) {
  Fail(2);
  breaker_.OnSuccess(breaker_.Enter(now_), now_);
  Fail(2);
  EXPECT_EQ(state(), State::kClosed) << "a success in between";
  Fail(1);
  EXPECT_EQ(state(), State::kOpen);
  EXPECT_FALSE(breaker_.Allows(now_));
}

TEST_F(CircuitBreakerTest, HalfOpen_LetsOneTrialThroughAtATime) {
  Fail(3);
  now_ += seconds(30);
  EXPECT_EQ(state(), State::kHalfOpen);
  const Pass trial = breaker_.Enter(now_);
  EXPECT_EQ(trial, Pass::kTrial);
  EXPECT_FALSE(breaker_.Allows(now_));
  EXPECT_EQ(breaker_.Enter(now_), Pass::kNone);
  breaker_.OnSuccess(trial, now_);
  EXPECT_EQ(state(), State::kHalfOpen) << "two are asked for";
  breaker_.OnSuccess(breaker_.Enter(now_), now_);
  EXPECT_EQ(state(), State::kClosed);
}

TEST_F(CircuitBreakerTest, TrialThatFails_OpensItForTwiceAsLongUpToABound) {
  Fail(3);
  for (const int open_s : {30, 60, 100, 100}) {
    now_ += seconds(open_s) - std::chrono::milliseconds(1);
    EXPECT_EQ(state(), State::kOpen) << open_s;
    now_ += std::chrono::milliseconds(1);
    EXPECT_EQ(state(), State::kHalfOpen) << open_s;
    Fail(1);
  }
}

TEST_F(CircuitBreakerTest, TrialThatIsAbandoned_MakesRoomForAnother) {
  Fail(3);
  now_ += seconds(30);
  breaker_.OnAbandoned(breaker_.Enter(now_));
  EXPECT_TRUE(breaker_.Allows(now_));
}

TEST_F(CircuitBreakerTest, RequestsFromBeforeItOpened_DecideNothing) {
  const Pass early = breaker_.Enter(now_);
  const Pass another = breaker_.Enter(now_);
  Fail(3);
  breaker_.OnSuccess(early, now_);
  EXPECT_EQ(state(), State::kOpen);
  now_ += seconds(30);
  breaker_.OnFailure(another, now_);
  EXPECT_EQ(state(), State::kHalfOpen);
}

TEST_F(CircuitBreakerTest, NoThreshold_NeverOpens) {
  breaker_ = CircuitBreaker({.failures_to_open = 0});
  Fail(100);
  EXPECT_EQ(state(), State::kClosed);
}

}  // namespace
}  // namespace autoglm::routing
