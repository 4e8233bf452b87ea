#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/detokenizer.h"
#include "tokenizer/tokenizer.h"

namespace autoglm {

// The text of one answer as its tokens come: whole UTF-8 characters, nothing of a stop string. Used by one thread at a time.
class AnswerText {
 public:
  // `tokenizer` outlives the text.
  AnswerText(const Tokenizer& tokenizer, std::vector<std::string> stop)
      : tokenizer_(&tokenizer), detokenizer_(tokenizer), stop_matcher_(std::move(stop)) {}

  // Takes the answer so far, which another server gave, and of whose text the client has `num_bytes`: Take gives what it lacks.
  // Before anything else. Errors: kInvalidArgument where the tokens go on behind a stop string or never gave such a text.
  Status Continue(std::span<const TokenId> tokens, int64_t num_bytes);

  // False once a stop string was found: the answer ends with this token.
  bool Push(TokenId token);
  // No token follows: what is held back becomes text. False where a stop string was found.
  bool End();
  // The text that became complete since the last call.
  std::string Take();

  bool is_stopped() const { return is_stopped_; }
  int64_t num_tokens() const { return num_tokens_; }
  int64_t num_continued_tokens() const { return num_continued_tokens_; }  // of these, another server's
  const Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  bool Append(std::string_view piece);

  const Tokenizer* tokenizer_;
  Detokenizer detokenizer_;
  StopMatcher stop_matcher_;
  std::string ready_;
  int64_t num_known_bytes_ = 0;  // that the client has of what is ready, or will be
  int64_t num_tokens_ = 0;
  int64_t num_continued_tokens_ = 0;
  bool is_stopped_ = false;
};

}  // namespace autoglm
