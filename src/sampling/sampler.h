#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "sampling/candidates.h"
#include "sampling/logit_scan.h"
#include "sampling/sampling_params.h"

namespace autoglm {

// The sampling state of one sequence: its parameters, its random stream and the counts the penalties need.
//
// The order of operations is vLLM's: logit_bias; repetition penalty (prompt and generated tokens: positive logits are divided,
// negative ones multiplied), then frequency and presence penalty (generated tokens); no EOS below min_tokens; temperature (below
// 1e-5: the best token, the lower of equals); min_p, top_k and top_p, each on the probabilities that the one before left. At
// the border of top_k and top_p, the lower of equal tokens stays.
//
// The draw of the n-th generated token depends only on (seed, n, logits): preemption, batching and prefix reuse do not
// change an answer.
class Sampler {
 public:
  // `seed` is used where params.seed is empty. `prompt` feeds the repetition penalty. Params must have passed Validate.
  // Tokens at and above `num_sampleable` (padding of the vocabulary) are never chosen.
  Sampler(const SamplingParams& params, uint64_t seed, std::span<const TokenId> prompt, int64_t num_sampleable);

  // Chooses a token and counts it. No logit is too odd: NaN counts as minus infinity, an infinite one is chosen, and where all
  // are minus infinity the first EOS token is, or token 0 without one. `logits` [vocab_size] is changed in place. `eos_tokens`
  // cannot be chosen while fewer than min_tokens have been generated. (ignore_eos does not forbid EOS; the scheduler just does
  // not stop at it.)
  TokenId Sample(std::span<float> logits, std::span<const TokenId> eos_tokens);

  // Counts tokens that were sampled elsewhere, with the same parameters and seed: what follows is as if it had been here.
  void Replay(std::span<const TokenId> tokens);

  int64_t num_sampled() const { return num_sampled_; }

 private:
  struct SeenToken {
    TokenId token = 0;
    int32_t num_generated = 0;  // 0 for a token of the prompt only
  };

  bool IsSampleable(TokenId token) const { return token >= 0 && token < num_sampleable_; }
  bool IsGreedy() const;
  void CountPrompt(std::span<const TokenId> prompt);
  void ReserveScratch();
  void ApplyPenalties(std::span<float> logits) const;
  TokenId Choose(std::span<float> logits, std::span<const TokenId> eos_tokens);
  TokenId ChooseFromTopK(std::span<const float> logits, const Softmax& softmax, float floor, double uniform);
  void Count(TokenId token);

  SamplingParams params_;
  uint64_t seed_;
  int64_t num_sampleable_;
  int64_t num_sampled_ = 0;
  // By token; empty where no penalty needs them. Tokens of the prompt are here only for the repetition penalty.
  std::vector<SeenToken> seen_tokens_;
  std::vector<Candidate> candidates_;  // scratch, reserved once: a step allocates nothing
  std::vector<double> block_sums_;     // scratch
};

}  // namespace autoglm
