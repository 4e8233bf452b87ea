#pragma once

#include <string_view>

#include "base/result.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"

namespace autoglm {

// What a name in tokenizer.ggml.pre stands for, in vocabularies of bytes.
struct GgufPreTokenizer {
  std::string_view name;
  std::string_view pattern;
  bool normalizes_nfc = false;       // text is brought into NFC before it is cut
  bool ignores_merges = false;       // a piece that is a token stays whole, whatever the merges say
  bool is_glm = false;               // <|user|> and <|observation|> end an answer; BOS is the chat template's business
  bool adds_bos_by_default = false;  // where tokenizer.ggml.add_bos_token is absent

  // Errors: kUnsupported; the message lists the names that are known.
  static Result<const GgufPreTokenizer*> Find(std::string_view name);

  PreTokenizer Build(Regex::Jit jit = Regex::Jit::kWherePossible) const;
};

// GPT-2's own pattern, also what "ByteLevel" with "use_regex" stands for in tokenizer.json.
PreTokenizer Gpt2PreTokenizer();
// Whether a pattern, as a file spells it, is one of those above: they need constant memory and linear time.
bool IsKnownPattern(std::string_view pattern);

}  // namespace autoglm
