#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "scheduler/fake_runner.h"
#include "scheduler/scheduler.h"

namespace autoglm {

// A scheduler, its blocks and a fake model, in short verbs. Integrity is checked after every call.
class SchedulerTest : public testing::Test {
 protected:
  SchedulerTest() { Reset(1000); }

  void Reset(int64_t num_blocks) {
    scheduler_.reset();
    blocks_ = std::make_unique<BlockManager>(num_blocks);
    runner_ = std::make_unique<FakeRunner>(num_blocks);
    scheduler_ = std::make_unique<Scheduler>(options_, *blocks_, clock_);
  }

  // Prompts of different `first` share nothing.
  static Request MakeRequest(int64_t num_prompt_tokens, int64_t max_tokens = 10, TokenId first = 0) {
    Request request;
    request.prompt_tokens.resize(static_cast<size_t>(num_prompt_tokens));
    std::iota(request.prompt_tokens.begin(), request.prompt_tokens.end(), first);
    request.sampling.max_tokens = max_tokens;
    request.sampling.ignore_eos = true;
    return request;
  }
  Sequence& Add(Request request) { return *scheduler_->Enqueue(std::move(request), nullptr).value(); }
  Sequence& Add(int64_t num_prompt_tokens, int64_t max_tokens = 10) {
    return Add(MakeRequest(num_prompt_tokens, max_tokens, next_first_ += 10'000));
  }
  // A sequence that has its first token.
  Sequence& AddStream(int64_t num_prompt_tokens = 10, int64_t max_tokens = 1000) {
    Sequence& sequence = Add(num_prompt_tokens, max_tokens);
    while (sequence.num_generated() == 0) Step();
    return sequence;
  }

  std::vector<SequenceUpdate> Step() {
    const StepPlan& plan = scheduler_->Plan();
    last_plan_ = plan.slices;
    ExpectIntegrity();
    StepResult result = runner_->Run(plan);
    result.seconds = step_seconds_ = SecondsOf(plan);
    clock_.Advance(DurationFromSeconds(step_seconds_ * time_between_steps_));
    auto updates = scheduler_->Commit(result);
    ExpectIntegrity();
    return updates;
  }
  // What a step takes on the machine of this test; 0 (not known) unless it says what a token costs.
  double SecondsOf(const StepPlan& plan) const {
    return seconds_per_token_ == 0 ? 0 : seconds_per_step_ + seconds_per_token_ * static_cast<double>(plan.num_tokens);
  }
  // One step in which every sample is `token`.
  std::vector<SequenceUpdate> StepTo(TokenId token) {
    const auto num_samples = std::ranges::count_if(scheduler_->Plan().slices, &SequenceSlice::samples);
    const auto count = static_cast<size_t>(num_samples);
    auto updates =
        scheduler_->Commit({.sampled = std::vector<TokenId>(count, token), .num_sampled = std::vector<int64_t>(count, 1)});
    ExpectIntegrity();
    return updates;
  }
  int StepsToFirstToken(const Sequence& sequence) {
    int num_steps = 0;
    for (; sequence.num_generated() == 0; ++num_steps) Step();
    return num_steps;
  }
  void RunUntilIdle(int max_steps = 10'000) {
    for (int i = 0; scheduler_->HasWork(); ++i) {
      ASSERT_LT(i, max_steps) << "no end in sight";
      Step();
    }
  }
  // Tokens of the sequence in the last plan; 0 where it has no slice.
  int64_t Planned(const Sequence& sequence) const {
    for (const SequenceSlice& slice : last_plan_) {
      if (slice.sequence == &sequence) return slice.num_tokens;
    }
    return 0;
  }
  void ExpectIntegrity() {
    const auto status = scheduler_->CheckIntegrity();
    ASSERT_TRUE(status) << status.error().message;
  }
  static bool Finished(const Sequence& sequence) { return sequence.state == SequenceState::kFinished; }

  SchedulerOptions options_{.context_length = 8000, .vocab_size = FakeRunner::kVocabSize, .eos_tokens = {FakeRunner::kEos}};
  ManualClock clock_;
  std::unique_ptr<BlockManager> blocks_;
  std::unique_ptr<FakeRunner> runner_;
  std::unique_ptr<Scheduler> scheduler_;
  std::vector<SequenceSlice> last_plan_;
  double seconds_per_step_ = 0;
  double seconds_per_token_ = 0;
  double time_between_steps_ = 0;  // that passes on the clock, in steps' own seconds
  double step_seconds_ = 0;        // of the last step
  TokenId next_first_ = 0;
};

}  // namespace autoglm
