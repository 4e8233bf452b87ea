#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/gguf_vocabulary.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace autoglm {

// A vocabulary built in memory. Ids 0 to 255 are the bytes; merges and other tokens follow in the order they are added.
class TinyVocabulary {
 public:
  TinyVocabulary() {
    for (int byte = 0; byte < 256; ++byte)
      AddToken(AlphabetFromBytes(std::string(1, static_cast<char>(byte))), TokenType::kNormal);
  }

  TokenId AddToken(std::string spelling, TokenType type) {
    tokens.push_back(std::move(spelling));
    types.push_back(static_cast<int64_t>(type));
    return static_cast<TokenId>(tokens.size() - 1);
  }
  // A normal token, by its bytes.
  TokenId AddNormal(std::string_view bytes) { return AddToken(AlphabetFromBytes(bytes), TokenType::kNormal); }
  // The merge of two tokens, by their bytes, and the token it makes.
  TokenId AddMerge(std::string_view left, std::string_view right) {
    merges.push_back(AlphabetFromBytes(left) + " " + AlphabetFromBytes(right));
    return AddNormal(std::string(left) + std::string(right));
  }

  VocabularyData data() const {
    return {.pre = pre, .tokens = tokens, .types = types, .merges = merges, .bos = bos, .eos = eos, .add_bos = add_bos};
  }
  std::unique_ptr<Tokenizer> Build() const {
    auto tokenizer = Tokenizer::Create(data());
    AUTOGLM_CHECK(tokenizer.has_value());
    return *std::move(tokenizer);
  }

  std::string pre = "gpt-2";
  std::vector<std::string> tokens;
  std::vector<int64_t> types;
  std::vector<std::string> merges;
  std::optional<int64_t> bos;
  std::vector<int64_t> eos;
  std::optional<bool> add_bos;
};

}  // namespace autoglm
