#include "scheduler/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "scheduler/scheduler_fixture.h"

namespace autoglm {
namespace {

using std::chrono::milliseconds;

TEST_F(SchedulerTest, Plan_IsEmptyWithoutWork) {
  EXPECT_TRUE(scheduler_->Plan().empty());
  EXPECT_TRUE(scheduler_->Commit({}).empty());
  EXPECT_FALSE(scheduler_->HasWork());
}

TEST_F(SchedulerTest, Enqueue_RefusesWhatCanNeverRun) {
  const auto code = [&](int64_t num_tokens) {
    const auto result = scheduler_->Enqueue(MakeRequest(num_tokens), nullptr);
    return result ? std::nullopt : std::optional(result.error().code);
  };
  EXPECT_EQ(code(0), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(8000), ErrorCode::kContextLengthExceeded);
  EXPECT_EQ(code(7999), std::nullopt);
  Reset(4);
  EXPECT_EQ(code(128), ErrorCode::kContextLengthExceeded);
  EXPECT_EQ(code(127), std::nullopt);
}

TEST_F(SchedulerTest, Enqueue_RefusesWhenTheQueueIsFull) {
  options_.max_waiting = 2;
  Reset(100);
  Add(10);
  Add(10);
  const auto refused = scheduler_->Enqueue(MakeRequest(10), nullptr);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  Step();
  EXPECT_TRUE(scheduler_->Enqueue(MakeRequest(10), nullptr));
}

TEST_F(SchedulerTest, Cancelled_AreDroppedWhereverTheyAre) {
  options_.max_running = 1;
  Reset(100);
  Sequence& running = AddStream(40);
  Sequence& waiting = Add(40);
  Sequence& other = Add(40);
  EXPECT_TRUE(scheduler_->DropCancelled().empty());
  running.request.cancel.Cancel();
  waiting.request.cancel.Cancel();
  const auto updates = scheduler_->DropCancelled();
  ASSERT_EQ(updates.size(), 2u);
  for (const auto& update : updates) {
    EXPECT_EQ(update.finish, FinishReason::kCancelled);
    scheduler_->Retire(update.sequence);
  }
  ExpectIntegrity();
  EXPECT_EQ(scheduler_->num_running(), 0);
  EXPECT_EQ(scheduler_->num_waiting(), 1);
  EXPECT_EQ(blocks_->stats().num_used, 0);
  RunUntilIdle();
  EXPECT_EQ(other.num_generated(), 10);
}

TEST_F(SchedulerTest, DropAll_EndsEverythingEvenWithAnUncommittedPlan) {
  options_.max_running = 2;
  Reset(100);
  for (int i = 0; i < 4; ++i) Add(40);
  Step();
  ASSERT_FALSE(scheduler_->Plan().empty());
  const auto updates = scheduler_->DropAll(FinishReason::kError);
  EXPECT_EQ(updates.size(), 4u);
  EXPECT_TRUE(std::ranges::all_of(updates, [](const auto& update) { return update.finish == FinishReason::kError; }));
  ExpectIntegrity();
  EXPECT_FALSE(scheduler_->HasWork());
  EXPECT_EQ(blocks_->stats().num_used, 0);
}

TEST_F(SchedulerTest, Destructor_GivesBlocksBack) {
  AddStream(100);
  EXPECT_GT(blocks_->stats().num_used, 0);
  scheduler_.reset();
  EXPECT_EQ(blocks_->stats().num_used, 0);
  EXPECT_TRUE(blocks_->CheckIntegrity({}));
}

TEST_F(SchedulerTest, Eos_EndsTheAnswerAndIsCountedButNotDelivered) {
  auto request = MakeRequest(5);
  request.sampling.ignore_eos = false;
  Sequence& sequence = Add(std::move(request));
  auto updates = StepTo(7);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].token, 7);
  EXPECT_EQ(updates[0].finish, std::nullopt);
  updates = StepTo(FakeRunner::kEos);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].token, std::nullopt);
  EXPECT_EQ(updates[0].finish, FinishReason::kStop);
  EXPECT_EQ(sequence.num_generated(), 2);
  EXPECT_EQ(sequence.tokens.back(), FakeRunner::kEos);
}

TEST_F(SchedulerTest, Eos_IsAnOrdinaryTokenWhereIgnored) {
  Add(5, 2);
  EXPECT_EQ(StepTo(FakeRunner::kEos)[0].token, FakeRunner::kEos);
  const auto updates = StepTo(FakeRunner::kEos);
  EXPECT_EQ(updates[0].token, FakeRunner::kEos);
  EXPECT_EQ(updates[0].finish, FinishReason::kLength);
}

TEST_F(SchedulerTest, MaxTokens_EndWithTheLastTokenDelivered) {
  Sequence& sequence = Add(5, 3);
  Step();
  Step();
  const auto updates = Step();
  EXPECT_TRUE(updates[0].token.has_value());
  EXPECT_EQ(updates[0].finish, FinishReason::kLength);
  EXPECT_EQ(sequence.num_generated(), 3);
  EXPECT_FALSE(scheduler_->HasWork());
  EXPECT_EQ(blocks_->stats().num_used, 0);
}

TEST_F(SchedulerTest, ContinuedTokens_CountAsGeneratedAndAreComputedWithThePrompt) {
  auto request = MakeRequest(45, 8);
  request.num_continued = 5;
  Sequence& sequence = Add(std::move(request));
  EXPECT_EQ(sequence.num_prompt_tokens, 40);
  EXPECT_EQ(sequence.num_generated(), 5);
  clock_.Advance(milliseconds(10));
  EXPECT_TRUE(Step()[0].token.has_value());
  EXPECT_EQ(Planned(sequence), 45);
  EXPECT_EQ(sequence.times.first_token, clock_.Now());
  EXPECT_EQ(Step()[0].finish, std::nullopt);
  EXPECT_EQ(Step()[0].finish, FinishReason::kLength);
  EXPECT_EQ(sequence.num_generated(), 8);
  EXPECT_EQ(sequence.num_charged, 45);
}

TEST_F(SchedulerTest, ContinuedTokensInTheCache_AreNoCachedPrompt) {
  Add(MakeRequest(100, 60));
  RunUntilIdle();
  auto request = MakeRequest(100, 60);
  request.num_continued = 50;
  Sequence& sequence = Add(std::move(request));
  Step();
  EXPECT_EQ(Planned(sequence), 4);
  EXPECT_EQ(sequence.num_cached_tokens, 50);
}

TEST_F(SchedulerTest, Context_EndsTheAnswer) {
  options_.context_length = 50;
  Reset(100);
  Sequence& sequence = Add(45, 100);
  RunUntilIdle();
  EXPECT_EQ(sequence.num_tokens(), 50);
}

TEST_F(SchedulerTest, AloneInThePool_EndsWhenItIsFull) {
  Reset(3);
  Sequence& sequence = Add(40, 1000);
  std::optional<FinishReason> finish;
  while (scheduler_->HasWork()) finish = Step()[0].finish;
  EXPECT_EQ(sequence.num_tokens(), 96);
  EXPECT_EQ(finish, FinishReason::kLength);
  EXPECT_EQ(scheduler_->num_preemptions(), 0);
}

TEST_F(SchedulerTest, Times_AreStampedOnce) {
  clock_.Advance(milliseconds(1));
  Sequence& sequence = Add(600, 3);
  const TimePoint start = clock_.Now();
  clock_.Advance(milliseconds(10));
  for (int i = 0; i < 4; ++i) {
    scheduler_->Plan();
    clock_.Advance(milliseconds(100));
    StepTo(7);
  }
  EXPECT_TRUE(Finished(sequence));
  EXPECT_EQ(sequence.times.enqueued, start);
  EXPECT_EQ(sequence.times.first_scheduled - start, milliseconds(10));
  EXPECT_EQ(sequence.times.first_token - start, milliseconds(210));
  EXPECT_EQ(sequence.times.last_token - start, milliseconds(410));
}

using SchedulerDeathTest = SchedulerTest;

TEST_F(SchedulerDeathTest, ContinuingACompleteAnswerIsABug) {
  auto request = MakeRequest(20, 5);
  request.num_continued = 5;
  EXPECT_DEATH(Add(std::move(request)), "num_continued");
}

TEST_F(SchedulerDeathTest, WrongResultsAreABug) {
  Add(10);
  scheduler_->Plan();
  EXPECT_DEATH(scheduler_->Commit({}), "num_samples");
  EXPECT_DEATH(scheduler_->Commit({.sampled = {1, 2}, .num_sampled = {1, 1}}), "num_samples");
  EXPECT_DEATH(scheduler_->Commit({.sampled = {FakeRunner::kVocabSize}, .num_sampled = {1}}), "vocab_size");
}

TEST_F(SchedulerDeathTest, RetireOfALiveOrUnknownSequenceIsABug) {
  Sequence& sequence = AddStream();
  Sequence unknown;
  EXPECT_DEATH(scheduler_->Retire(&sequence), "kFinished");
  EXPECT_DEATH(scheduler_->Retire(&unknown), "sequences_");
}

TEST_F(SchedulerTest, CheckIntegrity_FindsDamagedSequences) {
  Sequence& running = AddStream(100);
  Sequence& waiting = Add(100);
  const auto broken = [&] { return !scheduler_->CheckIntegrity().has_value(); };
  ASSERT_FALSE(broken());
  const auto expect_broken = [&](auto& field, auto value) {
    const auto old = std::exchange(field, value);
    EXPECT_TRUE(broken());
    field = old;
  };
  expect_broken(running.num_computed, running.num_tokens());
  expect_broken(running.num_computed, 95);
  expect_broken(running.num_computed, 32 * 4);
  expect_broken(running.state, SequenceState::kFinished);
  expect_broken(running.state, SequenceState::kWaiting);
  expect_broken(running.arrival, 0);
  expect_broken(running.tokens[3], 1);
  expect_broken(running.block_table.num_shared, 2);
  expect_broken(running.block_table.blocks[3], 999);
  expect_broken(waiting.state, SequenceState::kFinished);
  expect_broken(waiting.num_computed, 1);
  expect_broken(waiting.num_prompt_tokens, 99);
  ASSERT_FALSE(broken());
}

}  // namespace
}  // namespace autoglm
