#pragma once

#include <string_view>

#include "base/result.h"
#include "tokenizer/tokenizer_model.h"

namespace autoglm {

// Reads a tokenizer.json of Hugging Face tokenizers with a model of type BPE, of bytes or of characters. The file is
// untrusted. Errors: kCorruptFile, kPayloadTooLarge, kUnsupported naming the part that is not built. What
// tokenizer_config.json adds is not in it: see ApplyConfig.
//
// Two liberties: an added token that the file wants matched after normalisation is matched before it, and no merge makes a
// special token, so that one in plain text always stays text.
Result<TokenizerModel> BuildTokenizerJson(std::string_view text);

}  // namespace autoglm
