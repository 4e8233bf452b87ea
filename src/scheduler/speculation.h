#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "scheduler/prompt_lookup.h"

namespace autoglm {

// The longest draft: with the token it follows it fills no more than a tile of a matrix product.
inline constexpr int64_t kMaxDraftTokens = 11;

// How likely a drafted token is right when all before it were, by the length of the match it comes from.
using AcceptanceRates = std::array<double, PromptLookup::kNumLengths>;

// What a step costs, learned from steps that only decode: the time of one with a token each, and of each token more.
class DecodeCost {
 public:
  // A step of `num_sequences` streams with `num_drafted` tokens on top.
  void Observe(int64_t num_sequences, int64_t num_drafted, double seconds);
  // Of a step of so many streams without drafts, or of the nearest number that was seen; 0 where none was.
  double PlainSeconds(int64_t num_sequences) const;
  // What a drafted token costs, in tokens that plain decoding would have written in the same time.
  double TokensPerDraft(int64_t num_sequences) const;

 private:
  static constexpr int64_t kMaxSequences = 64;
  std::array<double, kMaxSequences + 1> plain_seconds_{};  // by the number of sequences; 0: not seen
  double draft_seconds_ = 0;                               // of a drafted token; 0: not seen
};

// How many tokens to draft for one sequence. Drafts as long as the next token is likelier to be right than what its check costs;
// learns from every draft, and forgets slowly while there is none, so that a sequence that begins to repeat itself is noticed.
class Speculator {
 public:
  explicit Speculator(const AcceptanceRates& prior) : rates_(prior), prior_(prior) {}

  // Leaves in draft() at most `max_tokens` tokens that may follow `tokens`.
  void Draft(std::span<const TokenId> tokens, int64_t max_tokens, double tokens_per_draft);
  // No draft in this step.
  void Clear() { draft_.clear(); }
  // How many tokens of the draft were right. `shared` are the rates that new sequences begin with.
  void Learn(int64_t num_accepted, AcceptanceRates& shared);

  std::span<const TokenId> draft() const { return draft_; }

 private:
  PromptLookup lookup_;
  PromptLookup::Match match_;
  AcceptanceRates rates_;
  AcceptanceRates prior_;
  std::vector<TokenId> draft_;
};

}  // namespace autoglm
