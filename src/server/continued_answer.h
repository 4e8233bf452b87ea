#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "openai/continuation.h"
#include "sampling/sampling_params.h"
#include "server/answer_text.h"

namespace autoglm {

// An answer that another server began, as this one goes on with it.
struct ContinuedAnswer {
  AnswerText text;
  std::vector<TokenId> tokens;         // without an EOS that ended it
  std::optional<FinishReason> finish;  // where it was complete already
};

// What the answer goes on behind. `sampling` has the max_tokens that hold for the whole answer.
struct AnswerFrame {
  const Tokenizer& tokenizer;
  const SamplingParams& sampling;
  int64_t num_prompt_tokens = 0;
  int64_t context_length = 0;
};

// Errors: kInvalidArgument, naming the member of autoglm_continue, where no server with this model can have given such an answer.
Result<ContinuedAnswer> ContinueAnswer(const Continuation& continuation, const AnswerFrame& frame);

}  // namespace autoglm
