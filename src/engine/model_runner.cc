#include "engine/model_runner.h"

#include <span>
#include <utility>

#include "base/clock.h"

namespace autoglm {

const StepResult* ModelRunner::Run(const StepPlan& plan, const std::atomic<bool>& interrupt) {
  meter_.Begin();
  const bool loads_weights = !model_.lm().load_progress().is_complete();
  FillSlices(plan);
  if (!model_.lm().Forward(slices_, kv_, pool_, logits_, &interrupt)) return nullptr;

  result_.sampled.clear();
  result_.num_sampled.clear();
  std::span<float> rest = logits_;
  for (const SequenceSlice& slice : plan.slices) {
    if (slice.samples) Sample(slice, rest);
  }
  // What it takes to load weights says nothing of later steps.
  const StepMeter::Cost cost = meter_.End();
  result_.elapsed = cost.elapsed;
  result_.cpu = cost.cpu;
  result_.run_queue = cost.run_queue;
  result_.seconds = loads_weights ? 0 : Seconds(cost.elapsed);
  return &result_;
}

void ModelRunner::FillSlices(const StepPlan& plan) {
  slices_.clear();
  drafted_.clear();
  drafted_.reserve(static_cast<size_t>(plan.num_tokens));  // the slices point into it
  for (const SequenceSlice& slice : plan.slices) {
    std::span<const TokenId> tokens = std::span(slice.sequence->tokens).subspan(slice.first_token, slice.num_tokens);
    if (!slice.draft.empty()) {
      const auto begin = std::ssize(drafted_);
      drafted_.insert(drafted_.end(), tokens.begin(), tokens.end());
      drafted_.insert(drafted_.end(), slice.draft.begin(), slice.draft.end());
      tokens = std::span<const TokenId>(drafted_).subspan(begin);
    }
    using Logits = ForwardSlice::Logits;
    slices_.push_back({.tokens = tokens,
                       .first_position = slice.first_token,
                       .block_table = slice.sequence->block_table.blocks,
                       .logits = !slice.samples ? Logits::kNone : (slice.draft.empty() ? Logits::kLast : Logits::kAll)});
  }
}

// Samples behind the slice's last token, and behind each drafted one as long as they are right. Takes the slice's rows off
// `logits`.
void ModelRunner::Sample(const SequenceSlice& slice, std::span<float>& logits) {
  const auto vocab_size = static_cast<size_t>(model_.lm().config().vocab_size);
  const std::span<float> rows = logits.first((slice.draft.size() + 1) * vocab_size);
  logits = logits.subspan(rows.size());
  int64_t count = 0;
  while (true) {
    const auto row = rows.subspan(static_cast<size_t>(count) * vocab_size, vocab_size);
    const TokenId token = slice.sequence->sampler->Sample(row, model_.tokenizer().eos_tokens());
    result_.sampled.push_back(token);
    ++count;
    const auto drafted = static_cast<size_t>(count - 1);
    if (drafted == slice.draft.size() || slice.draft[drafted] != token) break;
  }
  result_.num_sampled.push_back(count);
}

}  // namespace autoglm
