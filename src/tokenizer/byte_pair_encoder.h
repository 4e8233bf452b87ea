#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "tokenizer/piece_encoder.h"
#include "tokenizer/symbol_merger.h"
#include "tokenizer/vocabulary.h"
#include "tokenizer/whole_tokens.h"

namespace autoglm {

// Byte pair encoding by a list of merges (Vocabulary::FindMerge), of the bytes or of the characters of a piece.
class BytePairEncoder final : public PieceEncoder {
 public:
  enum class WholePieces { kByMerges, kAsTokens };  // kAsTokens: a piece that is a token stays whole, whatever the merges say
  enum class Symbols { kBytes, kCharacters };
  enum class Unknown { kEach, kFused };   // whether several unknown characters in a row are one unknown token
  enum class Fallback { kNone, kBytes };  // what an unknown character becomes: the unknown token, or its bytes if all are tokens
  struct Options {
    WholePieces whole_pieces = WholePieces::kByMerges;
    Symbols symbols = Symbols::kBytes;
    Fallback fallback = Fallback::kNone;
    Unknown unknown = Unknown::kEach;
    // Absent: what the vocabulary lacks is left out, as Hugging Face tokenizers does; neighbours may then merge across the gap.
    std::optional<TokenId> unknown_token = std::nullopt;
  };

  // The vocabulary must outlive the encoder.
  BytePairEncoder(const Vocabulary& vocabulary, const Options& options);

  void Append(std::string_view piece, std::vector<TokenId>& tokens) const override;
  void AppendByte(uint8_t byte, std::vector<TokenId>& tokens) const override;

  // The two ways to merge, for tests; MergeShort takes at most kShortSymbols bytes.
  void MergeShort(std::string_view piece, std::vector<TokenId>& tokens) const;
  void MergeLong(std::string_view piece, std::vector<TokenId>& tokens) const;

 private:
  void Merge(std::string_view piece, std::vector<TokenId>& tokens) const;
  template <typename SymbolSink>
  void ReadSymbols(std::string_view piece, SymbolSink& symbols) const;
  template <typename SymbolSink>
  void AddUnknown(std::string_view character, SymbolSink& symbols) const;

  const Vocabulary& vocabulary_;
  const Options options_;
  const WholeTokens whole_tokens_;
};

}  // namespace autoglm
