#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "tokenizer/byte_token.h"
#include "tokenizer/gguf_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace autoglm {

// A vocabulary of SentencePiece's kind built in memory. 0 is <unk>, 1 <s>, 2 </s>, 3 to 258 are the bytes, 259 is the space;
// other tokens follow in the order they are added.
class TinySentencePiece {
 public:
  static constexpr TokenId kUnknown = 0, kBos = 1, kEos = 2, kFirstByte = 3, kSpace = 259;

  TinySentencePiece() {
    Add("<unk>", TokenType::kUnknown);
    Add("<s>", TokenType::kControl);
    Add("</s>", TokenType::kControl);
    for (int byte = 0; byte < 256; ++byte) Add(SpellByte(static_cast<uint8_t>(byte)), TokenType::kByte);
    Add(std::string(kSpaceMark), TokenType::kNormal, -100);
  }

  TokenId Add(std::string spelling, TokenType type, double score = 0) {
    tokens.push_back(std::move(spelling));
    types.push_back(static_cast<int64_t>(type));
    scores.push_back(score);
    return static_cast<TokenId>(tokens.size() - 1);
  }
  TokenId AddNormal(std::string spelling, double score) { return Add(std::move(spelling), TokenType::kNormal, score); }
  static TokenId Byte(uint8_t byte) { return kFirstByte + byte; }

  VocabularyData data() const {
    return {.model = "llama",
            .pre = pre,
            .tokens = tokens,
            .types = types,
            .scores = scores,
            .bos = kBos,
            .eos = {kEos},
            .unknown = kUnknown,
            .add_space_prefix = add_space_prefix};
  }
  std::unique_ptr<Tokenizer> Build() const {
    auto tokenizer = Tokenizer::Create(data());
    AUTOGLM_CHECK(tokenizer.has_value());
    return *std::move(tokenizer);
  }

  std::string pre = "default";
  std::optional<bool> add_space_prefix = false;
  std::vector<std::string> tokens;
  std::vector<int64_t> types;
  std::vector<double> scores;
};

}  // namespace autoglm
