#include "scheduler/speculation.h"

#include <algorithm>

namespace autoglm {
namespace {

// Weight of what was seen last; a rate follows a change within some ten tokens.
constexpr double kLearning = 0.15;
// Rates that new sequences begin with follow all sequences, slower.
constexpr double kSharedLearning = 0.02;
// On the way back to the prior at every step without a draft: one wrong guess in some twenty steps.
constexpr double kForgetting = 0.002;
// Before anything was measured: eight drafted tokens cost as much as a step of one stream.
constexpr double kAssumedTokensPerDraft = 0.125;
constexpr double kCostLearning = 0.1;

void Approach(double& value, double target, double weight) { value += weight * (target - value); }

}  // namespace

void DecodeCost::Observe(int64_t num_sequences, int64_t num_drafted, double seconds) {
  if (num_sequences < 1 || num_sequences > kMaxSequences || seconds <= 0) return;
  double& plain = plain_seconds_[static_cast<size_t>(num_sequences)];
  if (num_drafted == 0) {
    // A step that took many times as long says something about the machine, not about the step.
    if (plain == 0) plain = seconds;
    Approach(plain, std::min(seconds, 2 * plain), kCostLearning);
    return;
  }
  if (plain == 0) return;
  const double each = std::clamp((seconds - plain) / static_cast<double>(num_drafted), 0.01 * plain, plain);
  if (draft_seconds_ == 0) draft_seconds_ = each;
  Approach(draft_seconds_, each, kCostLearning);
}

double DecodeCost::PlainSeconds(int64_t num_sequences) const {
  const int64_t wanted = std::clamp<int64_t>(num_sequences, 1, kMaxSequences);
  for (int64_t distance = 0; distance < kMaxSequences; ++distance) {
    for (const int64_t number : {wanted - distance, wanted + distance}) {
      if (number < 1 || number > kMaxSequences) continue;
      if (const double seconds = plain_seconds_[static_cast<size_t>(number)]; seconds > 0) return seconds;
    }
  }
  return 0;
}

double DecodeCost::TokensPerDraft(int64_t num_sequences) const {
  const auto streams = static_cast<double>(num_sequences);
  const double plain = num_sequences <= kMaxSequences ? plain_seconds_[static_cast<size_t>(num_sequences)] : 0;
  if (plain == 0 || draft_seconds_ == 0) return kAssumedTokensPerDraft * streams;
  return draft_seconds_ * streams / plain;
}

void Speculator::Draft(std::span<const TokenId> tokens, int64_t max_tokens, double tokens_per_draft) {
  draft_.clear();
  match_ = lookup_.Find(tokens);
  if (!match_.found()) return;
  double& rate = rates_[static_cast<size_t>(match_.length_index)];
  int64_t count = 0;
  for (double right = rate; count < std::min(max_tokens, kMaxDraftTokens) && right > tokens_per_draft; right *= rate) ++count;
  if (count == 0) {
    Approach(rate, prior_[static_cast<size_t>(match_.length_index)], kForgetting);
    return;
  }
  PromptLookup::Draft(tokens, match_.next, count, draft_);
}

void Speculator::Learn(int64_t num_accepted, AcceptanceRates& shared) {
  if (draft_.empty()) return;
  const auto index = static_cast<size_t>(match_.length_index);
  for (int64_t i = 0; i <= num_accepted && i < std::ssize(draft_); ++i) {
    const double outcome = i < num_accepted ? 1 : 0;
    Approach(rates_[index], outcome, kLearning);
    Approach(shared[index], outcome, kSharedLearning);
  }
  draft_.clear();
}

}  // namespace autoglm
