#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "sampling/sampling_params.h"
#include "scheduler/prompt_cost.h"
#include "scheduler/sequence.h"

namespace autoglm {

// One sequence's share of a step: compute tokens [first_token, first_token + num_tokens).
struct SequenceSlice {
  Sequence* sequence = nullptr;
  int64_t first_token = 0;
  int64_t num_tokens = 0;
  bool samples = false;  // the slice ends at the sequence's last token: its logits give the next one
  // Tokens that may follow, to be computed behind the others and checked; only where the slice samples. They stand in the
  // sequence's speculator until the plan is committed.
  std::span<const TokenId> draft = {};
};

// What one step computes. Plain data between the scheduler and whoever runs the model.
struct StepPlan {
  std::vector<SequenceSlice> slices;
  int64_t num_tokens = 0;  // drafts included

  bool empty() const { return slices.empty(); }
};

// What one step produced, slice by slice of those with `samples`, in the order of the plan. A slice without a draft gives one
// token. With one, the token behind each position is sampled as long as the draft was right: the first that differs is the last.
struct StepResult {
  std::vector<TokenId> sampled;      // of all these slices, one after the other
  std::vector<int64_t> num_sampled;  // by slice, at least 1
  double seconds = 0;                // that the step took; 0: it says nothing of later ones
  // For the records of requests: where the time went.
  Duration elapsed{};
  Duration cpu{};        // of the process meanwhile
  Duration run_queue{};  // that the engine's thread could run and had no processor, since the step before
};

// What lies before an engine, in the time that its steps so far say it takes.
struct LoadEstimate {
  PromptCost prompt_cost;               // of prompt tokens, where they are alone
  double slowdown = 1;                  // what steps take lately, beside what the costs of their parts say; in all seconds below
  double prompt_share = 1;              // of the time between steps' ends that goes to prompts, while there are some
  double seconds_per_answer_token = 0;  // of all answers together
  double seconds_per_step = 0;          // a token for each running answer
  double mean_answer_tokens = 0;        // of answers that ended; 0: none has
  double backlog_seconds = 0;           // of all that wait and run
  double prompt_backlog_seconds = 0;    // of their prompts alone
};

// What became of a sequence in a step.
struct SequenceUpdate {
  Sequence* sequence = nullptr;
  std::optional<TokenId> token = {};        // newly generated; an EOS token that ends the answer is not delivered
  std::optional<FinishReason> finish = {};  // set once; the sequence is destroyed by Scheduler::Retire
};

}  // namespace autoglm
