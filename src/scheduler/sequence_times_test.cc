#include "scheduler/sequence_times.h"

#include <gtest/gtest.h>

#include <numeric>

namespace autoglm {
namespace {

using std::chrono::milliseconds;

TimePoint At(int64_t ms) { return TimePoint{} + milliseconds(1'000 + ms); }

Duration Sum(const SequenceTimes& times) { return std::accumulate(times.phases.begin(), times.phases.end(), Duration{}); }

TEST(SequenceTimesTest, EveryMomentBelongsToOnePhase) {
  SequenceTimes times;
  times.Enqueued(At(0), At(3));
  times.Scheduled(At(10));
  times.Stepped({.begin = At(11), .end = At(20), .num_tokens = 128, .batch = 2, .cpu = milliseconds(8)}, false);
  times.Stepped({.begin = At(22), .end = At(30), .num_tokens = 60, .batch = 3}, true);
  times.Stepped({.begin = At(31), .end = At(33), .num_tokens = 1, .batch = 5, .run_queue = milliseconds(1)}, true);
  times.Stepped({.begin = At(34), .end = At(36), .num_tokens = 1, .batch = 4}, true);
  times.Preempted(At(40));
  times.Scheduled(At(50));
  times.Stepped({.begin = At(50), .end = At(57), .num_tokens = 190, .batch = 1}, true);
  times.Ended(At(57));
  times.Ended(At(99));  // once

  EXPECT_EQ(times.Of(SequencePhase::kKvRestore), milliseconds(3));
  EXPECT_EQ(times.Of(SequencePhase::kQueue), milliseconds(7));
  EXPECT_EQ(times.Of(SequencePhase::kPrefill), milliseconds(9 + 8 + 7));
  EXPECT_EQ(times.Of(SequencePhase::kPrefillStall), milliseconds(1 + 2));
  EXPECT_EQ(times.Of(SequencePhase::kDecode), milliseconds(4));
  EXPECT_EQ(times.Of(SequencePhase::kDecodeStall), milliseconds(1 + 1 + 4));
  EXPECT_EQ(times.Of(SequencePhase::kPreempted), milliseconds(10));
  EXPECT_EQ(Sum(times), times.ended - times.enqueued);
  EXPECT_EQ(times.ended, At(57));
  EXPECT_EQ(times.first_scheduled, At(10));
  EXPECT_EQ(times.num_steps, 5);
  EXPECT_EQ(times.num_prefill_steps, 3);
  EXPECT_EQ(times.num_preemptions, 1);
  EXPECT_EQ(times.largest_batch, 5);
  EXPECT_EQ(times.sum_of_batches, 15);
  EXPECT_EQ(times.cpu, milliseconds(8));
  EXPECT_EQ(times.run_queue, milliseconds(1));
}

TEST(SequenceTimesTest, StepsOfDecoding_AreOneSpan) {
  SequenceTimes times;
  times.Enqueued(At(0), At(0));
  times.Scheduled(At(1));
  times.Stepped({.begin = At(1), .end = At(5), .num_tokens = 7, .batch = 1}, true);
  for (int i = 0; i < 100; ++i) times.Stepped({.begin = At(6 + i), .end = At(7 + i), .num_tokens = 1, .batch = 1}, true);
  times.Ended(At(106));
  ASSERT_EQ(times.num_spans, 3U);
  EXPECT_EQ(times.spans[0].phase, SequencePhase::kQueue);
  EXPECT_EQ(times.spans[1].phase, SequencePhase::kPrefill);
  EXPECT_EQ(times.spans[1].num_tokens, 7);
  EXPECT_EQ(times.spans[2].phase, SequencePhase::kDecode);
  EXPECT_EQ(times.spans[2].num_tokens, 100);
  EXPECT_EQ(times.spans[2].end, At(106));
  EXPECT_EQ(Sum(times), times.ended - times.enqueued);
}

TEST(SequenceTimesTest, ManyChunks_ArePutTogether_AndAddUpAllTheSame) {
  SequenceTimes times;
  times.Enqueued(At(0), At(0));
  times.Scheduled(At(1));
  for (int i = 0; i < 50; ++i) {
    times.Stepped({.begin = At(2 + 10 * i), .end = At(9 + 10 * i), .num_tokens = 64, .batch = 1}, i == 49);
  }
  times.Ended(At(499));
  EXPECT_EQ(times.num_spans, SequenceTimes::kMaxSpans);
  EXPECT_EQ(times.spans.back().end, At(499));
  int64_t num_tokens = 0;
  for (const SequenceSpan& span : times.spans) num_tokens += span.num_tokens;
  EXPECT_EQ(num_tokens, 50 * 64);
  EXPECT_EQ(times.Of(SequencePhase::kPrefill), milliseconds(50 * 7));
  EXPECT_EQ(Sum(times), times.ended - times.enqueued);
}

TEST(SequenceTimesTest, StampsThatGoBack_StandStill) {
  SequenceTimes times;
  times.Enqueued(At(10), At(5));
  times.Scheduled(At(8));
  times.Stepped({.begin = At(3), .end = At(20), .num_tokens = 1, .batch = 1}, true);
  times.Ended(At(15));
  EXPECT_EQ(Sum(times), times.ended - times.enqueued);
  EXPECT_EQ(times.Of(SequencePhase::kPrefill), milliseconds(10));
}

}  // namespace
}  // namespace autoglm
