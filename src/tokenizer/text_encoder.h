#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/normalizer.h"
#include "tokenizer/piece_encoder.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/special_matcher.h"

namespace autoglm {

// Encodes the stretches of ordinary text between special tokens: normalise, cut into pieces, encode each. Every kind of
// tokenizer is one of these, put together differently. Immutable, so any thread may use it.
class TextEncoder {
 public:
  TextEncoder(Normalizer normalizer, PreTokenizer pre_tokenizer, std::unique_ptr<const PieceEncoder> pieces)
      : normalizer_(std::move(normalizer)), pre_tokenizer_(std::move(pre_tokenizer)), pieces_(std::move(pieces)) {}

  // As SentencePiece does, finds these tokens once text is normalised; otherwise Tokenizer has found them before.
  void SetUserDefined(SpecialMatcher user_defined) { user_defined_ = std::move(user_defined); }
  bool FindsUserDefined() const { return user_defined_.has_value(); }

  // Each byte that is not part of valid UTF-8 is a piece of its own.
  void Append(std::string_view text, TextPlace place, std::vector<TokenId>& tokens) const;

 private:
  void AppendNormalized(std::string_view text, std::vector<TokenId>& tokens) const;

  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  std::unique_ptr<const PieceEncoder> pieces_;
  std::optional<SpecialMatcher> user_defined_;
};

}  // namespace autoglm
