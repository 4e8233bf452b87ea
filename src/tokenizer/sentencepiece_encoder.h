#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/piece_encoder.h"
#include "tokenizer/vocabulary.h"
#include "tokenizer/whole_tokens.h"

namespace autoglm {

// SentencePiece's BPE: two neighbours merge where their text is a token, the token with the highest score first. Characters
// that are no token become their bytes, or the unknown token where the vocabulary lacks a byte. A merge may lead through
// tokens of type kUnused; what is left of them is taken apart again. Source: google/sentencepiece, src/bpe_model.cc.
class SentencePieceEncoder final : public PieceEncoder {
 public:
  // The vocabulary must outlive the encoder; `scores` has one for each token. Errors: kCorruptFile (lengths disagree, a score
  // that is not a number).
  static Result<std::unique_ptr<SentencePieceEncoder>> Create(const Vocabulary& vocabulary, std::span<const double> scores,
                                                              std::optional<TokenId> unknown_token);

  void Append(std::string_view piece, std::vector<TokenId>& tokens) const override;
  void AppendByte(uint8_t byte, std::vector<TokenId>& tokens) const override;

 private:
  class MergeByText;
  SentencePieceEncoder(const Vocabulary& vocabulary, std::span<const double> scores, std::optional<TokenId> unknown_token);

  void FindJoinedSpaces();
  size_t WordEnd(std::string_view text) const;
  void AppendWord(std::string_view word, std::vector<TokenId>& tokens) const;
  void AppendMerged(std::string_view word, std::vector<TokenId>& tokens) const;
  void AppendSymbol(std::string_view text, std::optional<TokenId> token, const MergeByText& merges,
                    std::vector<TokenId>& tokens) const;

  const Vocabulary& vocabulary_;
  const std::optional<TokenId> unknown_token_;
  std::vector<int32_t> ranks_;           // by token; tokens of one score have one rank
  std::array<bool, 256> joins_space_{};  // some token has a space right after this byte
  const WholeTokens whole_tokens_;
};

}  // namespace autoglm
