#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "sampling/sampling_params.h"
#include "scheduler/sequence.h"

namespace autoglm {

// One sequence's share of a step: compute tokens [first_token, first_token + num_tokens).
struct SequenceSlice {
  Sequence* sequence = nullptr;
  int64_t first_token = 0;
  int64_t num_tokens = 0;
  bool samples = false;  // the slice ends at the sequence's last token: its logits give the next one
};

// What one step computes. Plain data between the scheduler and whoever runs the model.
struct StepPlan {
  std::vector<SequenceSlice> slices;
  int64_t num_tokens = 0;

  bool empty() const { return slices.empty(); }
};

// What one step produced: the sampled token of every slice with `samples`, in the order of the plan's slices.
struct StepResult {
  std::vector<TokenId> sampled;
};

// What became of a sequence in a step.
struct SequenceUpdate {
  Sequence* sequence = nullptr;
  std::optional<TokenId> token = {};        // newly generated; an EOS token that ends the answer is not delivered
  std::optional<FinishReason> finish = {};  // set once; the sequence is destroyed by Scheduler::Retire
};

}  // namespace autoglm
