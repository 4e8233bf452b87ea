#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/tokenizer_config.h"
#include "tokenizer/tokenizer_model.h"

namespace autoglm {

// Reads a tiktoken file as GLM-4 ships it under the name tokenizer.model: lines of a token in base64 and its rank, which is
// also its id. The file names neither the pattern (cl100k's, as in all models that ship such files) nor the special tokens:
// those are `special_tokens`, or where there are none, GLM-4's, by the size of its vocabulary. Errors: kCorruptFile;
// kUnsupported where the special tokens are not known.
Result<TokenizerModel> BuildTiktoken(std::string_view text, const std::vector<AddedToken>& special_tokens);

// Whether a file is one of these, to tell it from a SentencePiece model of the same name.
bool LooksLikeTiktoken(std::string_view text);

}  // namespace autoglm
