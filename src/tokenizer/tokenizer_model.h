#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "tokenizer/special_matcher.h"
#include "tokenizer/text_encoder.h"
#include "tokenizer/vocabulary.h"

namespace autoglm {

// Everything that a tokenizer is made of: what each reader of a file format produces, and all that Tokenizer needs.
struct TokenizerModel {
  std::unique_ptr<const Vocabulary> vocabulary;
  std::unique_ptr<const TextEncoder> text_encoder;  // refers to *vocabulary
  SpecialMatcher::OptionsByToken special_options;   // of those tokens whose options differ from the usual
  std::optional<TokenId> bos;
  bool add_bos = false;
  std::vector<TokenId> eos;        // the first is the one chat templates call eos_token
  bool ends_at_glm_roles = false;  // <|user|> and <|observation|> end an answer
  // Decoded text loses one space at its start, the one that encoding put there.
  bool drops_first_space = false;
};

// `id` as a token, where the vocabulary has it. Errors: kCorruptFile; `what` names the id's role in the message.
Result<TokenId> CheckedToken(const Vocabulary& vocabulary, int64_t id, std::string_view what);

}  // namespace autoglm
