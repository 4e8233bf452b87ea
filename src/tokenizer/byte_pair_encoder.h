#pragma once

#include <atomic>
#include <memory>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace autoglm {

// Byte pair encoding of one piece: of all neighbouring pairs, the one with the lowest rank is merged, the leftmost on ties,
// until no pair has a rank. Bytes that the vocabulary lacks are left out, as Hugging Face tokenizers does without an
// unknown token: neighbours may then merge across the gap.
class BytePairEncoder {
 public:
  enum class WholePieces { kByMerges, kAsTokens };  // kAsTokens: a piece that is a token stays whole, whatever the merges say

  // The vocabulary must outlive the encoder.
  BytePairEncoder(const Vocabulary& vocabulary, WholePieces whole_pieces);

  // Any thread. O(n log n) in the length of the piece.
  void Append(std::string_view piece, std::vector<TokenId>& tokens) const;

  // The two ways to merge, which always agree; public for tests. MergeShort is O(n^2), the plain one and the faster one for
  // words; `piece` has at most kShortBytes.
  static constexpr size_t kShortBytes = 64;
  void MergeShort(std::string_view piece, std::vector<TokenId>& tokens) const;
  void MergeLong(std::string_view piece, std::vector<TokenId>& tokens) const;

 private:
  enum class Whole : uint8_t { kNotKnown, kYes, kNo };
  void Merge(std::string_view piece, std::vector<TokenId>& tokens) const;

  const Vocabulary& vocabulary_;
  const WholePieces whole_pieces_;
  // Whether the merges of a token's bytes give that token, learnt when first needed. Every thread would write the same.
  std::unique_ptr<std::atomic<Whole>[]> is_whole_;
};

}  // namespace autoglm
