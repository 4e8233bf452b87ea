#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "engine/loaded_model.h"
#include "engine/step_meter.h"
#include "models/kv_pool.h"
#include "scheduler/step_plan.h"

namespace autoglm {

// Carries out step plans: one forward pass over all slices, drafts included, then the sampled tokens of each slice that asks for
// them. A slice with a draft has one token and its draft.
// Engine thread only.
class ModelRunner {
 public:
  // All three outlive the runner.
  ModelRunner(LoadedModel& model, KvPool& kv, ThreadPool& pool) : model_(model), kv_(kv), pool_(pool) {}

  // The result is valid until the next call. Null where somebody set `interrupt` meanwhile: nothing was computed then, and the
  // plan must not be committed.
  const StepResult* Run(const StepPlan& plan, const std::atomic<bool>& interrupt);

 private:
  void FillSlices(const StepPlan& plan);
  void Sample(const SequenceSlice& slice, std::span<float>& logits);

  LoadedModel& model_;
  KvPool& kv_;
  ThreadPool& pool_;
  std::vector<ForwardSlice> slices_;  // kept between steps, as the rest, to allocate nothing in a step
  std::vector<TokenId> drafted_;      // tokens of slices with a draft, and the draft
  std::vector<float> logits_;
  StepResult result_;
  StepMeter meter_;
};

}  // namespace autoglm
