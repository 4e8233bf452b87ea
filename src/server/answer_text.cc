#include "server/answer_text.h"

#include <algorithm>
#include <utility>

namespace autoglm {
namespace {

bool IsInsideCharacter(std::string_view text, size_t position) {
  return position < text.size() && (static_cast<unsigned char>(text[position]) & 0xc0) == 0x80;
}

}  // namespace

Status AnswerText::Continue(std::span<const TokenId> tokens, int64_t num_bytes) {
  for (const TokenId token : tokens) {
    if (is_stopped_) {
      return Fail(ErrorCode::kInvalidArgument, "autoglm_continue.token_ids go on behind a stop string",
                  "autoglm_continue.token_ids");
    }
    Push(token);
  }
  num_continued_tokens_ = num_tokens_;
  // The other server may have come as far as the end.
  AnswerText whole = *this;
  whole.End();
  if (num_bytes > std::ssize(whole.ready_)) {
    return Fail(ErrorCode::kInvalidArgument,
                "autoglm_continue.text_bytes is " + std::to_string(num_bytes) + ", but the tokens give no more than " +
                    std::to_string(whole.ready_.size()) + " bytes of text",
                "autoglm_continue.text_bytes");
  }
  if (IsInsideCharacter(whole.ready_, static_cast<size_t>(num_bytes))) {
    return Fail(ErrorCode::kInvalidArgument, "autoglm_continue.text_bytes ends inside a character",
                "autoglm_continue.text_bytes");
  }
  num_known_bytes_ = num_bytes;
  return {};
}

bool AnswerText::Push(TokenId token) {
  ++num_tokens_;
  return Append(detokenizer_.Push(token));
}

bool AnswerText::End() {
  if (!Append(detokenizer_.Flush())) return false;
  ready_ += stop_matcher_.Flush();
  return true;
}

bool AnswerText::Append(std::string_view piece) {
  StopMatcher::Output output = stop_matcher_.Push(piece);
  ready_ += output.text;
  is_stopped_ = output.stopped;
  return !is_stopped_;
}

std::string AnswerText::Take() {
  const size_t num_known = std::min(ready_.size(), static_cast<size_t>(num_known_bytes_));
  num_known_bytes_ -= static_cast<int64_t>(num_known);
  ready_.erase(0, num_known);
  return std::exchange(ready_, {});
}

}  // namespace autoglm
