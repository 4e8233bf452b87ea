#include "resilience/retry_policy.h"

#include <gtest/gtest.h>

namespace autoglm::resilience {
namespace {

using routing::Outcome;
using std::chrono::milliseconds;
using std::chrono::seconds;

class RetryPolicyTest : public testing::Test {
 protected:
  RetryDecision Decide(const FailedAttempt& failed) { return DecideRetry(failed, options_, random_); }

  RetryOptions options_;
  Random random_{5};
};

TEST_F(RetryPolicyTest, AnotherUpstream_IsAskedAtOnce) {
  for (const Outcome outcome : {Outcome::kOverloaded, Outcome::kFailed, Outcome::kUnreachable}) {
    EXPECT_EQ(Decide({.outcome = outcome, .retry_after = seconds(60), .has_others = true}).delay, Duration::zero());
  }
}

TEST_F(RetryPolicyTest, SameUpstream_BacksOffTwiceAsLongEachTimeAndByChance) {
  options_.max_attempts = 20;
  for (int attempts = 1; attempts < 20; ++attempts) {
    const Duration whole = std::min<Duration>(milliseconds(50) * (1 << (attempts - 1)), seconds(5));
    const Duration delay = *Decide({.num_attempts = attempts}).delay;
    EXPECT_LE(delay, whole) << attempts;
    EXPECT_GE(delay, whole / 2 - milliseconds(1)) << attempts;
  }
  EXPECT_NE(Decide({}).delay, Decide({}).delay);
}

TEST_F(RetryPolicyTest, RetryAfter_IsKeptUpToABound) {
  EXPECT_EQ(Decide({.outcome = Outcome::kOverloaded, .retry_after = seconds(2)}).delay, seconds(2));
  const RetryDecision too_long = Decide({.outcome = Outcome::kOverloaded, .retry_after = seconds(11)});
  EXPECT_FALSE(too_long.delay);
  EXPECT_EQ(too_long.why, GiveUp::kAskedToWaitTooLong);
}

TEST_F(RetryPolicyTest, AnswerThatHasBegun_IsNeverRepeated) {
  EXPECT_EQ(Decide({.is_answer_begun = true, .has_others = true}).why, GiveUp::kAnswerBegun);
}

TEST_F(RetryPolicyTest, WhatMustNotHappenTwice_IsRepeatedOnlyWhereItCannotHaveHappened) {
  FailedAttempt failed{.outcome = Outcome::kUnreachable, .is_repeatable = false, .has_others = true};
  EXPECT_EQ(Decide(failed).why, GiveUp::kNotRetryable);
  failed.was_sent = false;
  EXPECT_TRUE(Decide(failed).delay) << "no connection";
  failed.was_sent = true;
  failed.outcome = Outcome::kOverloaded;
  EXPECT_TRUE(Decide(failed).delay) << "refused";
}

TEST_F(RetryPolicyTest, AnswersAndClientsThatLeft_AreNoFailures) {
  EXPECT_FALSE(Decide({.outcome = Outcome::kAnswered, .has_others = true}).delay);
  EXPECT_FALSE(Decide({.outcome = Outcome::kAbandoned, .has_others = true}).delay);
}

TEST_F(RetryPolicyTest, AttemptsAndTime_EndIt) {
  EXPECT_EQ(Decide({.num_attempts = 3, .has_others = true}).why, GiveUp::kAttemptsUsed);
  EXPECT_EQ(Decide({.time_left = milliseconds(20)}).why, GiveUp::kNoTimeLeft);
  EXPECT_EQ(Decide({.has_others = true, .time_left = Duration::zero()}).why, GiveUp::kNoTimeLeft);
  EXPECT_EQ(GiveUpName(GiveUp::kNoTimeLeft), "no time left");
}

}  // namespace
}  // namespace autoglm::resilience
