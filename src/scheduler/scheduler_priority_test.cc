#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "scheduler/scheduler_fixture.h"

namespace autoglm {
namespace {

class SchedulerPriorityTest : public SchedulerTest {
 protected:
  Sequence& AddAt(int64_t priority, int64_t num_prompt_tokens = 10, int64_t max_tokens = 10) {
    Request request = MakeRequest(num_prompt_tokens, max_tokens, next_first_ += 10'000);
    request.priority = priority;
    return Add(std::move(request));
  }
};

TEST_F(SchedulerPriorityTest, LowerNumber_StartsFirst) {
  options_.max_running = 1;
  Reset(1000);
  AddStream(10, 3);
  Sequence& low = AddAt(1);
  Sequence& normal = AddAt(0);
  while (normal.num_generated() == 0) Step();
  EXPECT_EQ(low.state, SequenceState::kWaiting);
  RunUntilIdle();
  EXPECT_EQ(scheduler_->num_preemptions(), 0) << "the stream was there first, and no lower";
}

TEST_F(SchedulerPriorityTest, HighPriority_TakesThePlaceOfTheLastLowOne) {
  options_.max_running = 2;
  Reset(1000);
  Sequence& first = AddAt(1, 40, 50);
  Sequence& second = AddAt(1, 40, 50);
  for (int i = 0; i < 5; ++i) Step();
  Sequence& high = AddAt(0, 40, 5);
  Step();
  EXPECT_EQ(high.num_generated(), 1);
  EXPECT_EQ(first.times.num_preemptions, 0);
  EXPECT_EQ(second.times.num_preemptions, 1);
  while (!Finished(high)) Step();
  Step();
  EXPECT_EQ(second.state, SequenceState::kRunning);
  RunUntilIdle();
  EXPECT_EQ(scheduler_->num_preemptions(), 1);
  EXPECT_EQ(second.tokens, FakeRunner::AnswerAlone(second.request, 8000));
}

TEST_F(SchedulerPriorityTest, HighPriority_TakesBlocksOfLowOnes) {
  Reset(10);
  Sequence& low = AddAt(1, 100, 150);
  Sequence& lower = AddAt(2, 100, 150);
  for (int i = 0; i < 5; ++i) Step();
  Sequence& high = AddAt(0, 100, 20);
  Step();
  EXPECT_EQ(high.num_generated(), 1);
  EXPECT_EQ(low.times.num_preemptions, 0);
  EXPECT_EQ(lower.times.num_preemptions, 1);
  RunUntilIdle();
  EXPECT_EQ(lower.tokens, FakeRunner::AnswerAlone(lower.request, 320));
}

TEST_F(SchedulerPriorityTest, EqualPriority_TakesNobodysPlace) {
  options_.max_running = 1;
  Reset(1000);
  AddAt(3, 10, 30);
  AddAt(3, 10, 30);
  RunUntilIdle();
  EXPECT_EQ(scheduler_->num_preemptions(), 0);
}

TEST_F(SchedulerPriorityTest, HighPriorityPrompt_GoesBeforeALongLowOneAtWork) {
  Sequence& low = AddAt(1, 4000);
  Step();
  Sequence& high = AddAt(0, 400);
  Step();
  EXPECT_EQ(Planned(high), 400);
  EXPECT_EQ(Planned(low), 0) << "a level behind, it waits for this step";
  EXPECT_EQ(scheduler_->num_preemptions(), 0) << "there is room for both";
  RunUntilIdle();
}

TEST_F(SchedulerPriorityTest, WhoWaitsForASharedPrefix_TakesNobodysPlaceYet) {
  options_.max_running = 2;
  Reset(1000);
  Sequence& stream = AddAt(2, 10, 100);
  Request long_prompt = MakeRequest(2000);
  long_prompt.priority = 1;
  Sequence& owner = Add(std::move(long_prompt));
  Step();
  clock_.Advance(std::chrono::seconds(31));
  Sequence& sharer = Add(MakeRequest(1900));
  while (owner.num_generated() == 0) {
    EXPECT_EQ(stream.times.num_preemptions, 0);
    EXPECT_EQ(sharer.state, SequenceState::kWaiting);
    Step();
  }
  Step();
  EXPECT_EQ(stream.times.num_preemptions, 1);
  EXPECT_EQ(sharer.state, SequenceState::kRunning);
  RunUntilIdle();
  EXPECT_EQ(scheduler_->num_preemptions(), 1);
}

// High-priority requests come as fast as they can be answered. The low one is overtaken by those of its first 30 seconds alone.
TEST_F(SchedulerPriorityTest, LowPriority_WaitsNoLongerThanItsLevelsAreWorth) {
  for (const int64_t levels : {1, 3}) {
    options_.max_running = 1;
    Reset(1000);
    AddAt(0, 10, 1);
    Sequence& low = AddAt(levels, 10, 1);
    int64_t seconds = 0;
    for (; low.num_generated() == 0; ++seconds) {
      ASSERT_LT(seconds, 1000);
      Step();  // one request a second
      clock_.Advance(std::chrono::seconds(1));
      AddAt(0, 10, 1);
    }
    EXPECT_GE(seconds, 30 * levels);
    EXPECT_LE(seconds, 30 * levels + 2);
    RunUntilIdle();
  }
}

TEST_F(SchedulerPriorityTest, WhoWaitedLongEnough_IsNotPreemptedByHigherPriority) {
  options_.max_running = 1;
  Reset(1000);
  Sequence& low = AddAt(1, 10, 100);
  Step();
  clock_.Advance(std::chrono::seconds(31));
  AddAt(0);
  Step();
  EXPECT_EQ(low.times.num_preemptions, 0);
  RunUntilIdle();
}

TEST_F(SchedulerPriorityTest, UrgentPrompt_HasEveryOtherStepForItself) {
  Sequence& stream = AddAt(1, 10, 1000);
  Sequence& prompt = AddAt(1, 3000);
  while (stream.num_generated() == 0) Step();
  Sequence& equal = AddAt(0, 10, 1000);
  for (int i = 0; i < 2; ++i) Step();
  Sequence& urgent = AddAt(0, 300, 1);
  Step();
  EXPECT_EQ(Planned(urgent), 127);
  EXPECT_EQ(Planned(equal), 1) << "only who is a level behind waits";
  EXPECT_EQ(Planned(stream) + Planned(prompt), 0);
  Sequence& long_one = AddAt(0, 4000, 1);
  const int64_t num_before = stream.num_generated();
  for (int i = 0; i < 8; ++i) {
    Step();
    EXPECT_GT(Planned(long_one) + Planned(urgent), 0);
  }
  EXPECT_EQ(stream.num_generated() - num_before, 4);
  RunUntilIdle();
}

// ---- classes, deadlines, long prompts

TEST_F(SchedulerPriorityTest, SoonerTarget_StandsBefore) {
  options_.max_running = 1;
  Reset(1000);
  AddStream(10, 3);
  Request batch = MakeRequest(10, 5, 1'000'000);
  batch.target = std::chrono::seconds(600);
  Request interactive = MakeRequest(10, 5, 2'000'000);
  interactive.target = std::chrono::seconds(1);
  Sequence& last = Add(std::move(batch));
  Sequence& second = AddAt(0, 10, 5);
  clock_.Advance(std::chrono::seconds(8));
  Sequence& first = Add(std::move(interactive));
  while (first.num_generated() == 0) Step();
  EXPECT_EQ(second.state, SequenceState::kWaiting);
  while (second.num_generated() == 0) Step();
  EXPECT_EQ(last.state, SequenceState::kWaiting);
  RunUntilIdle();
  EXPECT_EQ(scheduler_->num_preemptions(), 0);
}

TEST_F(SchedulerPriorityTest, NearDeadline_StandsBefore_AndAFarOneWhereItStoodAnyway) {
  options_.max_running = 1;
  Reset(1000);
  AddStream(10, 3);
  Request far = MakeRequest(10, 2, 1'000'000);
  far.deadline = clock_.Now() + std::chrono::seconds(1000);
  Sequence& second = Add(std::move(far));
  Sequence& third = AddAt(0, 10, 2);
  Request near = MakeRequest(10, 2, 2'000'000);
  near.deadline = clock_.Now() + std::chrono::seconds(4);
  Sequence& first = Add(std::move(near));
  while (first.num_generated() == 0) Step();
  EXPECT_EQ(second.state, SequenceState::kWaiting);
  while (second.num_generated() == 0) Step();
  EXPECT_EQ(third.state, SequenceState::kWaiting);
  RunUntilIdle();
}

TEST_F(SchedulerPriorityTest, PassedDeadline_EndsWhatWaitsAndWhatRuns) {
  options_.max_running = 1;
  Reset(1000);
  Request request = MakeRequest(100, 100);
  request.deadline = clock_.Now() + std::chrono::seconds(5);
  Sequence& running = Add(request);
  request.prompt_tokens[0] = 7;
  Sequence& waiting = Add(request);
  Step();
  EXPECT_TRUE(scheduler_->DropCancelled().empty());
  clock_.Advance(std::chrono::seconds(5));
  const auto updates = scheduler_->DropCancelled();
  ASSERT_EQ(updates.size(), 2u);
  for (const SequenceUpdate& update : updates) {
    EXPECT_EQ(update.finish, FinishReason::kDeadline);
    EXPECT_FALSE(update.token);
  }
  EXPECT_TRUE(Finished(running) && Finished(waiting));
  ExpectIntegrity();
  EXPECT_EQ(blocks_->stats().num_used, 0);
}

// A prompt of 20 seconds that waits for memory lets those pass which come in its first 20 seconds.
TEST_F(SchedulerPriorityTest, LongPrompt_LetsShortOnesPassForAsLongAsItTakes) {
  seconds_per_token_ = 0.01;
  options_.budget.prompt_seconds_with_decode = 0;
  Reset(80);
  Add(100, 1);
  RunUntilIdle();  // what a token costs
  Sequence& holder = AddStream(600, 1900);
  Sequence& large = AddAt(0, 2000, 10);
  clock_.Advance(std::chrono::seconds(15));
  EXPECT_LT(StepsToFirstToken(AddAt(0, 50, 2)), 5);
  clock_.Advance(std::chrono::seconds(15));
  Sequence& late = AddAt(0, 50, 2);
  for (int i = 0; i < 20; ++i) Step();
  EXPECT_EQ(late.num_generated(), 0);
  EXPECT_EQ(large.num_computed, 0);
  while (!Finished(holder)) Step();
  RunUntilIdle();
}

// ---- what is to come

TEST_F(SchedulerPriorityTest, EstimateLoad_SaysWhatTheMachineThenTakes) {
  seconds_per_step_ = 0.02;
  seconds_per_token_ = 0.001;
  for (int i = 0; i < 6; ++i) Add(300, 50);
  RunUntilIdle();
  EXPECT_EQ(scheduler_->EstimateLoad().backlog_seconds, 0);
  EXPECT_NEAR(scheduler_->EstimateLoad().mean_answer_tokens, 50, 1e-9);
  for (int i = 0; i < 6; ++i) Add(2000, 50);
  const double predicted = scheduler_->EstimateLoad().backlog_seconds;
  double seconds = 0;
  while (scheduler_->HasWork()) {
    Step();
    seconds += step_seconds_;
  }
  EXPECT_GT(predicted, 0.6 * seconds);
  EXPECT_LT(predicted, 1.4 * seconds);
}

}  // namespace
}  // namespace autoglm
