#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace autoglm {

// How the next token is chosen, in OpenAI's terms plus the usual extras (top_k, min_p, repetition_penalty as in vLLM).
struct SamplingParams {
  float temperature = 1.0f;                           // [0, 2], 0 = greedy; ties break towards the lower token id
  int top_k = 0;                                      // 0 = all
  float top_p = 1.0f;                                 // (0, 1]
  float min_p = 0.0f;                                 // [0, 1], relative to the most likely token
  float presence_penalty = 0.0f;                      // [-2, 2], on generated tokens, also when greedy
  float frequency_penalty = 0.0f;                     // [-2, 2], on generated tokens, also when greedy
  float repetition_penalty = 1.0f;                    // (0, 10], on prompt and generated tokens
  std::vector<std::pair<TokenId, float>> logit_bias;  // added before everything else; [-100, 100]
  std::optional<uint64_t> seed;                       // the same seed, prompt and model give the same answer
  int64_t max_tokens = 16;                            // > 0
  int64_t min_tokens = 0;                             // no EOS before that many; at most max_tokens
  std::vector<std::string> stop;                      // at most 16, none empty
  bool ignore_eos = false;

  // Errors: kInvalidArgument naming the field (Error::param) and the allowed range.
  Status Validate(int64_t vocab_size) const;
};

enum class FinishReason { kStop, kLength, kCancelled, kError, kDeadline };

}  // namespace autoglm
