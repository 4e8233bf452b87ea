#include "engine/model_runner.h"

#include <span>
#include <utility>

namespace autoglm {

const StepResult& ModelRunner::Run(const StepPlan& plan) {
  slices_.clear();
  for (const SequenceSlice& slice : plan.slices) {
    slices_.push_back({.tokens = std::span(slice.sequence->tokens).subspan(slice.first_token, slice.num_tokens),
                       .first_position = slice.first_token,
                       .block_table = slice.sequence->block_table.blocks,
                       .logits = slice.samples ? ForwardSlice::Logits::kLast : ForwardSlice::Logits::kNone});
  }
  model_.lm().Forward(slices_, kv_, pool_, logits_);

  result_.sampled.clear();
  const auto vocab_size = static_cast<size_t>(model_.lm().config().vocab_size);
  std::span<float> rest = logits_;
  for (const SequenceSlice& slice : plan.slices) {
    if (!slice.samples) continue;
    result_.sampled.push_back(slice.sequence->sampler->Sample(rest.first(vocab_size), model_.tokenizer().eos_tokens()));
    rest = rest.subspan(vocab_size);
  }
  return result_;
}

}  // namespace autoglm
