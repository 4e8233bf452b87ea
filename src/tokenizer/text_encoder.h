#pragma once

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/normalizer.h"
#include "tokenizer/piece_encoder.h"
#include "tokenizer/pre_tokenizer.h"

namespace autoglm {

// Encodes the stretches of ordinary text between special tokens: normalise, cut into pieces, encode each. Every kind of
// tokenizer is one of these, put together differently. Immutable, so any thread may use it.
class TextEncoder {
 public:
  TextEncoder(Normalizer normalizer, PreTokenizer pre_tokenizer, std::unique_ptr<const PieceEncoder> pieces)
      : normalizer_(std::move(normalizer)), pre_tokenizer_(std::move(pre_tokenizer)), pieces_(std::move(pieces)) {}

  // Each byte that is not part of valid UTF-8 is a piece of its own.
  void Append(std::string_view text, TextPlace place, std::vector<TokenId>& tokens) const;

  const Normalizer& normalizer() const { return normalizer_; }

 private:
  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  std::unique_ptr<const PieceEncoder> pieces_;
};

}  // namespace autoglm
