#include <gtest/gtest.h>

#include <set>
#include <utility>
#include <vector>

#include "scheduler/scheduler_fixture.h"

namespace autoglm {
namespace {

class SchedulerPlanTest : public SchedulerTest {};

// ---- budget

TEST_F(SchedulerPlanTest, Prompt_IsComputedInChunksOfTheBudget) {
  Sequence& sequence = Add(1000);
  EXPECT_TRUE(Step().empty());
  EXPECT_EQ(Planned(sequence), 512);
  EXPECT_EQ(Step().size(), 1u);
  EXPECT_EQ(Planned(sequence), 488);
}

TEST_F(SchedulerPlanTest, Streams_GetATokenInEveryStepBesideALongPrompt) {
  Sequence& first = AddStream();
  Sequence& second = AddStream();
  Sequence& prompt = Add(1000);
  for (int i = 0; i < 7; ++i) {
    EXPECT_EQ(Step().size(), 2u);
    EXPECT_EQ(Planned(first), 1);
    EXPECT_EQ(Planned(second), 1);
    EXPECT_EQ(Planned(prompt), 126);
  }
}

TEST_F(SchedulerPlanTest, MoreStreamsThanBudget_TakeTurns) {
  options_.budget = {.max_tokens = 512, .max_tokens_with_decode = 4};
  Reset(1000);
  for (int i = 0; i < 10; ++i) Add(10, 31);
  for (int i = 0; i < 10; ++i) {
    std::set<const Sequence*> served;
    for (int j = 0; j < 3; ++j) {
      EXPECT_EQ(Step().size(), i + j == 0 ? 10u : 4u);
      for (const auto& slice : last_plan_) served.insert(slice.sequence);
    }
    EXPECT_EQ(served.size(), 10u) << "ten streams, four a step: three steps serve everyone";
  }
  RunUntilIdle();
}

TEST_F(SchedulerPlanTest, ShortPromptBehindALongOne_AnswersWithinAFewSteps) {
  Sequence& lone = Add(4000);
  EXPECT_EQ(StepsToFirstToken(Add(100)), 1);
  EXPECT_EQ(Planned(lone), 412);
  EXPECT_EQ(StepsToFirstToken(Add(100)), 4) << "beside a stream a quarter of 127";
  EXPECT_EQ(lone.num_generated(), 0);
}

TEST_F(SchedulerPlanTest, ShortPromptBehindTwoLongOnes_StillStartsAtOnce) {
  Sequence& first = Add(4000);
  Sequence& second = Add(4000);
  Sequence& third = Add(100);
  EXPECT_LE(StepsToFirstToken(third), 4);
  EXPECT_GT(first.num_computed, 3 * second.num_computed) << "who came first keeps three quarters";
}

TEST_F(SchedulerPlanTest, LongPrompt_TakesWhatTheNextDoesNotNeed) {
  Sequence& first = Add(4000);
  Sequence& second = Add(20);
  Step();
  EXPECT_EQ(Planned(first), 492);
  EXPECT_EQ(Planned(second), 20);
}

// ---- seconds

TEST_F(SchedulerPlanTest, Streams_WaitNoLongerForPromptsThanTheyMay) {
  seconds_per_step_ = 0.02;
  seconds_per_token_ = 0.001;
  AddStream();
  for (int i = 0; i < 5; ++i) Step();  // what a stream takes alone
  Sequence& prompt = Add(4000);
  int64_t num_tokens = 0;
  for (int i = 0; i < 50; ++i) {
    Step();
    EXPECT_LE(step_seconds_, 0.021 + 0.05 + 1e-9);
    num_tokens += Planned(prompt);
  }
  EXPECT_GT(num_tokens, 50 * 41) << "nearly all of what they may add is used";
}

TEST_F(SchedulerPlanTest, SecondsForPrompts_FollowTheMachine) {
  seconds_per_step_ = 0.02;
  seconds_per_token_ = 0.001;
  AddStream(10, 5000);
  for (int i = 0; i < 5; ++i) Step();
  Sequence& prompt = Add(7000);
  for (int i = 0; i < 20; ++i) Step();
  seconds_per_token_ = 0.004;
  for (int i = 0; i < 30; ++i) Step();
  EXPECT_LE(step_seconds_, 0.02 + 0.004 + 0.05 * 1.1);
  seconds_per_token_ = 0.0005;
  for (int i = 0; i < 40; ++i) Step();
  EXPECT_GT(Planned(prompt), 75);
}

TEST_F(SchedulerPlanTest, GapsLongerThanStepsSay_AreReckonedWith) {
  seconds_per_step_ = 0.02;
  seconds_per_token_ = 0.001;
  AddStream(10, 5000);
  for (int i = 0; i < 5; ++i) Step();
  Add(7000);
  time_between_steps_ = 1.15;
  int num_too_long = 0;
  for (int i = 0; i < 150; ++i) {
    Step();
    if (i >= 20 && time_between_steps_ * step_seconds_ > 0.021 + 0.05) ++num_too_long;
  }
  EXPECT_LE(num_too_long, 4);
}

TEST_F(SchedulerPlanTest, SlowMachine_StillMovesThePrompt) {
  seconds_per_token_ = 2;
  AddStream();
  Sequence& prompt = Add(100);
  Sequence& next = Add(100);
  for (int i = 0; i < 5; ++i) {
    Step();
    EXPECT_EQ(Planned(prompt) + Planned(next), 4);
  }
  RunUntilIdle();
}

TEST_F(SchedulerPlanTest, NoStreams_AStepEndsInAboutASecond) {
  seconds_per_token_ = 0.01;
  Sequence& prompt = Add(4000);
  Step();
  EXPECT_EQ(Planned(prompt), 512) << "nothing is known before the first step";
  Step();
  EXPECT_NEAR(static_cast<double>(Planned(prompt)), 100, 1);
}

TEST_F(SchedulerPlanTest, NoLimitOfSeconds_LeavesTheTokens) {
  options_.budget = {.prompt_seconds = 0, .prompt_seconds_with_decode = 0};
  Reset(1000);
  seconds_per_token_ = 1;
  Sequence& first = Add(2000);
  for (int i = 0; i < 3; ++i) {
    Step();
    EXPECT_EQ(Planned(first), 512);
  }
  AddStream();
  Sequence& prompt = Add(1000);
  Step();
  EXPECT_EQ(Planned(prompt), 126);
}

// ---- room

TEST_F(SchedulerPlanTest, MaxRunning_Holds) {
  options_.max_running = 3;
  Reset(1000);
  for (int i = 0; i < 8; ++i) Add(10);
  Step();
  EXPECT_EQ(scheduler_->num_running(), 3);
  EXPECT_EQ(scheduler_->running()[0]->arrival, 1);
  EXPECT_EQ(scheduler_->num_waiting(), 5);
  RunUntilIdle();
}

TEST_F(SchedulerPlanTest, PlanAgainWithoutCommit_GivesTheSameWork) {
  AddStream(40);
  Sequence& prompt = Add(100);
  scheduler_->Plan();
  scheduler_->Plan();
  ExpectIntegrity();
  EXPECT_EQ(Step().size(), 2u);
  EXPECT_EQ(Planned(prompt), 100);
}

// ---- prefix cache

TEST_F(SchedulerPlanTest, EqualPromptLater_RecomputesOnlyItsLastBlock) {
  Add(MakeRequest(100));
  RunUntilIdle();
  Sequence& again = Add(MakeRequest(100));
  Step();
  EXPECT_EQ(again.num_cached_tokens, 96);
  EXPECT_EQ(Planned(again), 4);
  RunUntilIdle();
  Sequence& whole_blocks = Add(MakeRequest(96));
  Step();
  EXPECT_EQ(whole_blocks.num_cached_tokens, 64) << "the last prompt token is always recomputed";
}

TEST_F(SchedulerPlanTest, Conversation_ReusesTheAnswerToo) {
  Sequence& first = Add(MakeRequest(50, 60));
  RunUntilIdle();
  Request next;
  next.prompt_tokens = first.tokens;
  next.prompt_tokens.push_back(5);
  EXPECT_EQ(first.num_tokens(), 110);
  Sequence& second = Add(std::move(next));
  Step();
  EXPECT_EQ(second.num_cached_tokens, 96);
}

TEST_F(SchedulerPlanTest, EqualPromptsAtOnce_AreComputedOnce) {
  for (int i = 0; i < 16; ++i) Add(MakeRequest(1000, 1));
  for (int i = 0; i < 3; ++i) Step();
  EXPECT_FALSE(scheduler_->HasWork());
  EXPECT_EQ(runner_->num_tokens_computed(), 1000 + 15 * 8);
}

TEST_F(SchedulerPlanTest, PromptThatWaitsForASharedPrefix_LetsOthersPass) {
  Sequence& first = Add(MakeRequest(2000));
  Sequence& sharer = Add(MakeRequest(1900));
  Sequence& other = Add(50);
  Step();
  EXPECT_EQ(Planned(first), 462);
  EXPECT_EQ(Planned(sharer), 0);
  EXPECT_EQ(Planned(other), 50);
  while (first.num_generated() == 0) Step();
  Step();
  EXPECT_EQ(sharer.num_cached_tokens, 1888);
  RunUntilIdle();
}

TEST_F(SchedulerPlanTest, SharedPrefixWhoseOwnerIsCancelled_IsComputedByTheNext) {
  Sequence& first = Add(MakeRequest(2000));
  Sequence& sharer = Add(MakeRequest(1900));
  Step();
  first.request.cancel.Cancel();
  scheduler_->DropCancelled();
  Step();
  EXPECT_EQ(sharer.num_cached_tokens, 512);
  RunUntilIdle();
  EXPECT_EQ(sharer.num_generated(), 10);
}

TEST_F(SchedulerPlanTest, OlderPrompt_NeverWaitsForAYoungerOneThatSharesItsPrefix) {
  options_.budget = {.max_tokens = 16, .max_tokens_with_decode = 16};
  Reset(100);
  Sequence& first = Add(MakeRequest(320));
  Sequence& older = Add(MakeRequest(300));
  Sequence& younger = Add(MakeRequest(64));
  while (younger.num_computed == 0) Step();
  ASSERT_EQ(older.state, SequenceState::kWaiting);
  first.request.cancel.Cancel();
  scheduler_->DropCancelled();
  Step();
  EXPECT_LT(younger.num_computed, 64);
  EXPECT_GT(Planned(older), 0);
  RunUntilIdle();
}

TEST_F(SchedulerPlanTest, EqualPromptsOfTwoTenants_AreNeitherSharedNorAwaited) {
  auto request = MakeRequest(100);
  request.cache_scope = 1;
  Sequence& first = Add(request);
  request.cache_scope = 2;
  Sequence& second = Add(request);
  Step();
  EXPECT_EQ(Planned(first), 100);
  EXPECT_EQ(Planned(second), 100);
  RunUntilIdle();
}

// ---- blocks shared in part

class SharedBlocksTest : public SchedulerPlanTest {
 protected:
  SharedBlocksTest() {
    blocks_->SetCopy([this](BlockIndex from, BlockIndex to) { runner_->CopyBlock(from, to); });
  }
};

TEST_F(SharedBlocksTest, ChoicesOfAShortPrompt_ComputeItOnce) {
  std::vector<Sequence*> choices;
  choices.reserve(4);
  for (int i = 0; i < 4; ++i) choices.push_back(&Add(MakeRequest(30)));
  Step();
  EXPECT_EQ(Planned(*choices[0]), 30);
  EXPECT_EQ(last_plan_.size(), 1u) << "the others wait for it";
  Step();
  for (int i = 1; i < 4; ++i) {
    EXPECT_EQ(Planned(*choices[static_cast<size_t>(i)]), 1);
    EXPECT_EQ(choices[static_cast<size_t>(i)]->num_cached_tokens, 29);
  }
  RunUntilIdle();
}

TEST_F(SharedBlocksTest, ConversationThatGoesOn_ComputesWhatIsNew) {
  const Sequence& first = Add(MakeRequest(40, 20));
  std::vector<TokenId> tokens;
  while (scheduler_->HasWork()) {
    Step();
    tokens = first.tokens;
  }
  ASSERT_EQ(tokens.size(), 60u);
  Request request = MakeRequest(1);
  request.prompt_tokens = tokens;
  request.prompt_tokens.push_back(7);
  const Sequence& second = Add(request);
  Step();
  EXPECT_EQ(second.num_cached_tokens, 59) << "the last token of an answer has no KV";
  EXPECT_EQ(Planned(second), 2);
  RunUntilIdle();
}

TEST_F(SharedBlocksTest, FewEqualTokens_AreNotWaitedFor) {
  Add(MakeRequest(7));
  Add(MakeRequest(7));
  Step();
  EXPECT_EQ(last_plan_.size(), 2u);
  RunUntilIdle();
}

TEST_F(SharedBlocksTest, PublicPrefixOfTwoTenants_IsComputedOnce) {
  Request request = MakeRequest(100);
  request.cache_scope = {1, 70};
  const Sequence& first = Add(request);
  request.cache_scope = {2, 70};
  const Sequence& second = Add(request);
  Step();
  EXPECT_EQ(Planned(first), 100);
  EXPECT_EQ(last_plan_.size(), 1u);
  Step();
  EXPECT_EQ(second.num_cached_tokens, 64);
  EXPECT_EQ(Planned(second), 36) << "what is not public is each one's own";
  RunUntilIdle();
}

// ---- running out of blocks

TEST_F(SchedulerPlanTest, OutOfBlocks_PreemptsTheYoungestAndItsAnswerIsTheSame) {
  Reset(8);
  Sequence& old = Add(MakeRequest(60, 100, 100));
  Sequence& young = Add(MakeRequest(60, 100, 500));
  RunUntilIdle();
  EXPECT_GT(scheduler_->num_preemptions(), 0);
  EXPECT_EQ(old.times.num_preemptions, 0);
  EXPECT_EQ(young.times.num_preemptions, scheduler_->num_preemptions());
  EXPECT_EQ(old.tokens, FakeRunner::AnswerAlone(old.request, 256));
  EXPECT_EQ(young.tokens, FakeRunner::AnswerAlone(young.request, 256));
}

TEST_F(SchedulerPlanTest, Preempted_WaitsAtTheHeadAndReturnsThroughTheCache) {
  options_.max_running = 2;
  Reset(9);
  Sequence& old = Add(60, 100);
  Sequence& young = Add(60, 150);
  Sequence& later = Add(60, 150);
  while (young.times.num_preemptions == 0) Step();
  EXPECT_EQ(young.state, SequenceState::kWaiting);
  const int64_t num_before = runner_->num_tokens_computed();
  while (young.state != SequenceState::kRunning) {
    EXPECT_EQ(later.state, SequenceState::kWaiting);
    Step();
  }
  EXPECT_TRUE(Finished(old) || old.num_generated() > 60);
  EXPECT_LT(runner_->num_tokens_computed() - num_before, 100);
  EXPECT_EQ(young.num_cached_tokens, 0) << "tells of the first start only";
  RunUntilIdle();
}

TEST_F(SchedulerPlanTest, PromptThatWaitsForBlocks_IsNotOvertaken) {
  Reset(10);
  Sequence& stream = AddStream(60, 80);
  Sequence& big = Add(250);
  Sequence& small = Add(10);
  while (!Finished(stream)) {
    Step();
    EXPECT_EQ(Planned(big) + Planned(small), 0);
  }
  Step();
  EXPECT_EQ(Planned(big), 250);
  RunUntilIdle();
}

TEST_F(SchedulerPlanTest, StreamThatGivesUpItsBlocks_LetsTheOldestPromptGoOnInTheSameStep) {
  options_.budget = {.max_tokens = 8, .max_tokens_with_decode = 2};
  Reset(6);
  Sequence& prompt = Add(100);
  Sequence& stream = Add(10, 150);
  bool has_waited = false;
  while (stream.times.num_preemptions == 0) {
    Step();
    has_waited = has_waited || Planned(prompt) == 0;
  }
  EXPECT_TRUE(has_waited) << "a prompt takes no blocks from a stream";
  EXPECT_GT(Planned(prompt), 0);
  RunUntilIdle();
  EXPECT_EQ(stream.tokens, FakeRunner::AnswerAlone(stream.request, 6 * kBlockSizeTokens));
}

TEST_F(SchedulerPlanTest, StreamThatGivesUpItsBlocks_PassesItsTurnToTheOldest) {
  options_.budget = {.max_tokens = 32, .max_tokens_with_decode = 1};
  Reset(4);
  Sequence& old = Add(10, 100);
  Sequence& young = Add(20, 100);
  while (young.times.num_preemptions == 0) Step();
  EXPECT_EQ(young.num_tokens(), 65) << "its own turn, and it is the youngest";
  EXPECT_EQ(Planned(old), 1);
  RunUntilIdle();
}

TEST_F(SchedulerPlanTest, OldestSequence_AdvancesInEveryStepOfAFullPool) {
  Reset(6);
  std::vector<Sequence*> all;
  all.reserve(6);
  for (int i = 0; i < 6; ++i) all.push_back(&Add(30 + 5 * i, 120));
  for (Sequence* oldest : all) {
    while (!Finished(*oldest)) {
      Step();
      ASSERT_GT(Planned(*oldest), 0);
    }
    EXPECT_EQ(oldest->tokens, FakeRunner::AnswerAlone(oldest->request, 6 * kBlockSizeTokens));
  }
  EXPECT_GE(scheduler_->num_preemptions(), 3);
}

}  // namespace
}  // namespace autoglm
