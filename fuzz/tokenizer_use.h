#pragma once

#include <string>
#include <vector>

#include "base/check.h"
#include "base/result.h"
#include "tokenizer/detokenizer.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_model.h"

namespace autoglm {

// What a server does with a tokenizer, whatever the file said that it came from.
inline void UseTokenizer(Result<TokenizerModel> model) {
  if (!model) {
    AUTOGLM_CHECK(!model.error().message.empty());
    return;
  }
  const TokenId num_tokens = model->vocabulary->size();
  const auto tokenizer = Tokenizer::Create(*std::move(model));
  const std::string text = "The  lighthouse, 123 don't\n\n<e>\xE2\x96\x81<|end|> caf\xC3\xA9 \xFF aaaaaaaa sop";
  for (const auto specials : {SpecialTokens::kPlain, SpecialTokens::kParse}) {
    const std::vector<TokenId> tokens = tokenizer->Encode(text, specials);
    Detokenizer detokenizer(*tokenizer);
    for (const TokenId token : tokens) {
      AUTOGLM_CHECK(token >= 0 && token < num_tokens);
      (void)detokenizer.Push(token);
    }
    (void)detokenizer.Flush();
  }
}

}  // namespace autoglm
