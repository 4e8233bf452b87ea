#include "discovery/event_sequence.h"

#include <gtest/gtest.h>

namespace autoglm::discovery {
namespace {

using Verdict = EventSequence::Verdict;

TEST(EventSequence, BeginsAtZero) {
  EventSequence sequence;
  EXPECT_EQ(sequence.Live(0), Verdict::kNext);
  sequence.Take(0);
  EXPECT_EQ(sequence.Live(1), Verdict::kNext);
  EXPECT_EQ(EventSequence().Live(5), Verdict::kMissed);
}

TEST(EventSequence, WhatAReplayBroughtIsSeen) {
  EventSequence sequence;
  EXPECT_EQ(sequence.Live(3), Verdict::kMissed);
  for (uint64_t number = 0; number <= 5; ++number) {
    EXPECT_EQ(sequence.Replayed(number), Verdict::kNext);
    sequence.Take(number);
  }
  EXPECT_EQ(sequence.Live(4), Verdict::kSeen);
  EXPECT_EQ(sequence.Live(5), Verdict::kSeen);
  EXPECT_EQ(sequence.Live(6), Verdict::kNext);
}

TEST(EventSequence, AGapIsMissedUntilItIsGivenUp) {
  EventSequence sequence;
  sequence.Take(0);
  EXPECT_EQ(sequence.Live(2), Verdict::kMissed);
  EXPECT_EQ(sequence.next(), 1u);
  sequence.Take(2);
  EXPECT_EQ(sequence.Live(3), Verdict::kNext);
}

TEST(EventSequence, SmallerNumbersThanTheLastAreABeginningAnew) {
  EventSequence sequence;
  for (uint64_t number = 0; number < 10; ++number) {
    EXPECT_EQ(sequence.Live(number), Verdict::kNext);
    sequence.Take(number);
  }
  EXPECT_EQ(sequence.Live(0), Verdict::kNext);
  EXPECT_TRUE(sequence.is_at_beginning());
  sequence.Take(0);
  EXPECT_EQ(sequence.Live(1), Verdict::kNext);
  sequence.Take(1);
  EXPECT_EQ(sequence.Live(1), Verdict::kMissed) << "its 0 did not come";
}

}  // namespace
}  // namespace autoglm::discovery
