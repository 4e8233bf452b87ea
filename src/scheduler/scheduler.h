#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "kvcache/block_manager.h"
#include "scheduler/prompt_cost.h"
#include "scheduler/sequence.h"
#include "scheduler/step_plan.h"
#include "scheduler/tenant_line.h"

namespace autoglm {

// How much one step may compute. A running stream waits for the whole step, so a step that carries decodes takes fewer prompt
// tokens along than one that does not: no more than its tokens, nor than what the steps before it say will take its seconds.
// The first prompt of a step gets a few tokens however slow the machine is.
struct TokenBudget {
  int64_t max_tokens = 512;                  // in a step without running streams
  int64_t max_tokens_with_decode = 128;      // in a step that also decodes (the decodes count)
  double prompt_seconds = 1;                 // of prompts in a step without running streams; 0: any
  double prompt_seconds_with_decode = 0.05;  // that prompts may add to a step that also decodes; 0: any
};

struct SchedulerOptions {
  TokenBudget budget = {};
  int64_t max_running = 64;    // sequences that hold blocks at the same time
  int64_t max_waiting = 256;   // the bounded queue; Enqueue answers kResourceExhausted beyond it
  int64_t context_length = 0;  // tokens, prompt and answer together; > 0
  int64_t vocab_size = 0;      // sampleable tokens; > 0
  std::vector<TokenId> eos_tokens = {};
  // What one level of priority is worth: a request is due that much earlier for each level below 0, or later.
  Duration priority_step = std::chrono::seconds(30);
  bool speculates = true;  // drafts tokens for streams that repeat themselves; answers are the same either way
};

// Drafted tokens that were computed, and those of them that were right.
struct SpeculationStats {
  int64_t num_drafted = 0;
  int64_t num_accepted = 0;
};

// Continuous batching over a token budget. There is no prefill phase and no decode phase: each step hands out its budget so
// that the tokens computed catch up with the tokens there are.
//
//  1. Streams first, one token each. Where there are more streams than budget they take turns. What budget they leave goes to
//     drafts of streams that repeat themselves (speculation.h), while there are free blocks for them.
//  2. Then prompts, in line (below), in chunks. A prompt that cannot be finished in this step leaves a quarter
//     of what budget it found to the prompts behind it, the next of those again a quarter of its share, and so on: the first
//     prompt keeps three quarters of the speed, and a short prompt behind long ones starts at once. What they may add to a step
//     with streams is kept to in nearly all steps, not on average: where gaps turn out longer, less is planned.
//  3. A prompt starts with the blocks its prefix has in the cache, and only when all blocks of the rest are there and one
//     more for each running sequence to grow into. Nobody overtakes the oldest prompt that waits for blocks.
//  4. A waiting prompt that shares blocks, or all it has, with an older one which is at work on them starts when they are in the
//     cache, instead of computing them too; the prompts behind it may go ahead.
//  5. A stream that finds no block for its next token makes the last in line that runs (perhaps itself) give its blocks
//     back and wait again, at its place in line; what it had computed is usually still cached when it returns. A running
//     prompt that finds no blocks just waits; only when nothing at all could run in a step do the last make room for the
//     first. The first in line is thus never preempted, and it always ends.
//  6. While a prompt that is a level or more ahead of them is computed, streams and prompts wait: every other step is for it
//     alone, and no longer than a quarter of a second. A short urgent prompt thus takes one short step.
//  7. The first that waits takes the room of running sequences of lower priority which stand behind it, the last first.
//
// The line. A request is due when its class wants it answered (arrival + Request::target), later by what its own prompt takes, so
// that short ones do not wait for long ones; at its deadline, where that is sooner; and earlier or later by its priority.
// Requests of a tenant stand in the order in which they are due. So one is overtaken by those alone that come less than the
// difference of their allowances after it, and waits no longer than the work that was due before it takes. Between tenants the
// line is fair by the tokens served: tenant_line.h. Who gives blocks back is decided by when they are due, for all tenants
// together. A request whose deadline passes ends: DropCancelled.
//
// "Older" and "younger" below mean earlier and later due.
//
// Knows no model: tests drive it with a fake runner. Called by the engine thread only.
class Scheduler {
 public:
  // `blocks` must serve this scheduler alone.
  Scheduler(const SchedulerOptions& options, BlockManager& blocks, const Clock& clock);
  // Gives all blocks back.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Takes a request into the waiting queue. Errors: kInvalidArgument (an empty prompt), kResourceExhausted (queue full),
  // kContextLengthExceeded (the prompt leaves no room for one token, or can never fit into the block pool).
  Result<Sequence*> Enqueue(Request request, std::unique_ptr<Sampler> sampler);

  // Removes sequences that were cancelled (kCancelled), or whose deadline has passed or will have before they can be answered if
  // they begin now (kDeadline), and frees their blocks. Retire the updates. A plan that was not committed is forgotten.
  std::vector<SequenceUpdate> DropCancelled();

  // What to compute next. Empty when nothing is waiting or running. The plan is valid until the next call of Plan,
  // DropCancelled or DropAll.
  const StepPlan& Plan();

  // Takes the results of the last plan: appends tokens, hands full blocks to the prefix tree, ends sequences at EOS,
  // max_tokens or the context's end (or the block pool's, where that is smaller). The plan's slices are spent afterwards.
  std::vector<SequenceUpdate> Commit(const StepResult& result);

  // Destroys a finished sequence, after its last update has been delivered.
  void Retire(Sequence* sequence);

  // Ends everything with the given reason; Retire the updates. A plan that was not committed is forgotten.
  std::vector<SequenceUpdate> DropAll(FinishReason reason);

  // What is still to be done of all requests, and what a new one would take.
  LoadEstimate EstimateLoad() const;

  int64_t num_waiting() const { return waiting_.size(); }
  int64_t num_running() const { return std::ssize(running_); }
  int64_t num_preemptions() const { return num_preemptions_; }
  const SpeculationStats& speculation() const { return speculation_; }
  // What computing `num_tokens` of a prompt behind `context` others takes alone; nullopt until some have been computed.
  std::optional<double> PromptSeconds(int64_t context, int64_t num_tokens) const;
  // Blocks of those available that running sequences still need for the tokens they have, and one each to grow into.
  int64_t NumPromisedBlocks() const;
  bool HasWork() const { return num_waiting() + num_running() > 0; }
  std::span<const Sequence* const> running() const { return running_; }
  const TenantLine& line() const { return waiting_; }
  // Whether the sequence takes no part in the step last planned, because a more urgent prompt has it for itself.
  bool IsPaused(const Sequence& sequence) const { return sequence.allowance >= pause_from_; }

  // Every sequence is in exactly one queue, tables are as long as their computed tokens need, the block manager agrees. `held`
  // are the tables that others keep of the same blocks.
  Status CheckIntegrity(std::span<const BlockTable* const> held = {}) const;

 private:
  void MakeRoomForTheFirst();
  void PauseForTheFirst();
  bool IsStreaming(const Sequence& sequence) const;
  void PlanDecodes(int64_t num_decoding, int64_t budget);
  void PlanPrompts(int64_t budget, bool has_streams);
  void PlanDrafts(int64_t num_decoding, int64_t budget);
  void PlanOrPreempt(Sequence& sequence, int64_t num_tokens);
  [[nodiscard]] bool PlanSlice(Sequence& sequence, int64_t num_tokens);
  void ForgetPlan();
  void ClearPlan();

  void ArrangeLine();
  Sequence* NextInLine();
  bool IsComputedInLine(const Sequence& sequence) const;
  bool HasBlocksFor(const Sequence& sequence) const;

  void Start(Sequence& sequence);
  void Preempt(Sequence& sequence);
  void LearnFrom(const StepResult& result, TimePoint now);
  void RecordStep(const SequenceSlice& slice, const StepResult& result, TimePoint now);
  double Charge(Sequence& sequence, int64_t num_answer_tokens);
  double ExpectedAnswerTokens(int64_t max_tokens, int64_t num_generated) const;
  double Slowdown() const;
  LoadEstimate CostsNow() const;
  void KeepGapsWithinBudget(bool has_prompts, int64_t num_streams, TimePoint now);
  void LearnSlowdown(const PromptWork& prompts, int64_t num_streams, double seconds);
  bool ComesTooLate(const Sequence& sequence, TimePoint now, const LoadEstimate& costs) const;
  SequenceUpdate AppendToken(Sequence& sequence, TokenId token, TimePoint now);
  SequenceUpdate Finish(Sequence& sequence, FinishReason reason);
  void GiveBlocksBack(Sequence& sequence);
  void SettleRunning();
  std::vector<SequenceUpdate> FinishAll(const std::vector<std::pair<Sequence*, FinishReason>>& ended);
  // Calls visit(Sequence&) for all that wait or run.
  template <typename Visit>
  void ForEachLive(Visit visit) const {
    waiting_.ForEach(visit);
    for (Sequence* sequence : running_) visit(*sequence);
  }

  const SchedulerOptions options_;
  BlockManager& blocks_;
  const Clock& clock_;
  const int64_t max_sequence_tokens_;  // of the context or of the whole pool, whichever is smaller

  std::unordered_map<const Sequence*, std::unique_ptr<Sequence>> sequences_;  // all that live, finished ones included
  TenantLine waiting_;
  std::vector<Sequence*> running_;  // in order of place
  std::vector<Sequence*> line_;     // scratch of Plan: the prompts that may be computed, in the order in which they are served
  size_t next_in_line_ = 0;         // of line_
  Duration pause_from_ = Duration::max();  // who may wait so long takes no part in this step
  bool may_start_ = true;                  // false once there is no room for the next that waits
  std::vector<Sequence*> prompts_;         // scratch of Plan: those that compute their prompts, and those that begin in this step
  StepPlan plan_;
  int64_t num_arrivals_ = 0;
  int64_t num_preemptions_ = 0;
  DecodeCost decode_cost_;
  PromptCost prompt_cost_;                        // in steps without streams
  PromptCost prompt_cost_with_decode_;            // beyond what the streams take alone
  AcceptanceRates acceptance_ = {0.7, 0.5, 0.2};  // that new sequences begin with
  SpeculationStats speculation_;
  double seconds_taken_ = 0;      // by steps, each worth less with every later one
  double seconds_predicted_ = 0;  // the same, as EstimateLoad would have said
  double budget_share_ = 0.85;    // of the seconds that prompts may add to streams' steps which are planned for; at first a guess
  std::optional<TimePoint> streams_served_;  // when the last step ended, if it had streams
  double mean_answer_tokens_ = 0;            // of answers that ended; 0: none has
  Place last_turn_;                          // of the stream that had the last turn when there were more streams than budget
};

}  // namespace autoglm
