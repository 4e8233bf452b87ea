#include "server/continued_answer.h"

#include <algorithm>
#include <string>
#include <utility>

namespace autoglm {
namespace {

tl::unexpected<Error> Refuse(const std::string& member, const std::string& what) {
  const std::string path = "autoglm_continue." + member;
  return Fail(ErrorCode::kInvalidArgument, path + " " + what, path);
}

bool Ends(const AnswerFrame& frame, TokenId token) {
  return !frame.sampling.ignore_eos && std::ranges::count(frame.tokenizer.eos_tokens(), token) > 0;
}

int64_t MostTokens(const AnswerFrame& frame) {
  return std::max<int64_t>(0, std::min(frame.sampling.max_tokens, frame.context_length - frame.num_prompt_tokens));
}

Status CheckTokens(const std::vector<TokenId>& tokens, const AnswerFrame& frame) {
  if (std::ssize(tokens) > MostTokens(frame)) {
    return Refuse("token_ids", "has " + std::to_string(tokens.size()) + " tokens, but the answer may have " +
                                   std::to_string(MostTokens(frame)));
  }
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= frame.tokenizer.vocab_size()) {
      return Refuse("token_ids", "has token " + std::to_string(tokens[i]) + ", which is outside the vocabulary of " +
                                     std::to_string(frame.tokenizer.vocab_size()));
    }
    if (i + 1 < tokens.size() && Ends(frame, tokens[i])) return Refuse("token_ids", "go on behind a token that ends the answer");
  }
  return {};
}

}  // namespace

Result<ContinuedAnswer> ContinueAnswer(const Continuation& continuation, const AnswerFrame& frame) {
  const std::optional<int64_t> expected = continuation.origin.num_prompt_tokens;
  if (expected && *expected != frame.num_prompt_tokens) {
    return Refuse("prompt_tokens", "is " + std::to_string(*expected) + ", but here the prompt has " +
                                       std::to_string(frame.num_prompt_tokens) + ": the answer is another model's");
  }
  AUTOGLM_TRY_VOID(CheckTokens(continuation.token_ids, frame));
  ContinuedAnswer answer{
      .text = AnswerText(frame.tokenizer, frame.sampling.stop), .tokens = continuation.token_ids, .finish = {}};
  // Without tokens it is a request like any other, whose prompt may be too long.
  const bool is_whole = !answer.tokens.empty() && std::ssize(answer.tokens) == MostTokens(frame);
  const bool ends = !answer.tokens.empty() && Ends(frame, answer.tokens.back());
  if (ends) answer.tokens.pop_back();
  AUTOGLM_TRY_VOID(answer.text.Continue(answer.tokens, continuation.text_bytes));
  if (ends || answer.text.is_stopped()) {
    answer.finish = FinishReason::kStop;
  } else if (is_whole) {
    answer.finish = FinishReason::kLength;
  }
  return answer;
}

}  // namespace autoglm
