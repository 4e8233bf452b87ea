#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace autoglm {

// tokenizer.ggml.token_type of GGUF, and the piece types of SentencePiece.
enum class TokenType : uint8_t {
  kUndefined = 0,
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// The tokens of a tokenizer by id and by bytes, and the merges between them; lookups allocate nothing. Filled by whoever
// reads a file (gguf_vocabulary.h, tokenizer_json.h, ...), immutable afterwards.
class Vocabulary {
 public:
  static constexpr size_t kTokensMax = size_t{1} << 24;
  static constexpr size_t kMergesMax = size_t{1} << 24;

  // Room for so many entries, each at most the maximum above.
  Vocabulary(size_t num_tokens, size_t num_merges);

  // kByText: FindNormal finds the token; of two with the same bytes the first.
  enum class Lookup { kByText, kNever };
  // The next id. `bytes`: what a normal, user-defined or byte token stands for; the spelling of any other.
  TokenId Add(std::string_view bytes, TokenType type, Lookup lookup);
  // Of a merge that is added twice, the better rank counts: merges come in the order of their ranks, or are equal.
  void AddMerge(TokenId left, TokenId right, int32_t rank, TokenId merged);
  // The token that stands for a byte on its own; by default the normal token of that byte.
  void SetByteToken(uint8_t byte, TokenId token) { byte_tokens_[byte] = token; }

  TokenId size() const { return static_cast<TokenId>(types_.size()); }
  bool Contains(int64_t token) const { return token >= 0 && token < size(); }
  TokenType type(TokenId token) const { return types_[static_cast<size_t>(token)]; }
  // Control tokens and the unknown token: they have a spelling but stand for no text.
  bool IsControl(TokenId token) const { return type(token) == TokenType::kControl || type(token) == TokenType::kUnknown; }
  std::string_view bytes(TokenId token) const;

  struct Merge {
    int32_t rank = 0;  // the lowest goes first
    TokenId merged = 0;
  };
  std::optional<Merge> FindMerge(TokenId left, TokenId right) const;
  // The token of exactly these bytes among those that are found by text.
  std::optional<TokenId> FindNormal(std::string_view bytes) const;
  // Some vocabularies lack bytes that did not occur in their training text.
  std::optional<TokenId> FindByte(uint8_t byte) const;
  // Of the longest token that FindNormal finds.
  size_t normal_bytes_max() const { return normal_bytes_max_; }

 private:
  static constexpr TokenId kNoToken = -1;
  static constexpr uint64_t kNoPair = ~0ULL;
  struct NormalSlot {
    uint32_t tag = 0;  // high half of the hash: most other tokens are told apart without reading their bytes
    TokenId token = kNoToken;
  };
  struct MergeSlot {
    uint64_t pair = kNoPair;
    Merge merge;
  };

  void IndexNormal(TokenId token);
  size_t NormalPlace(std::string_view bytes, uint64_t hash) const;
  size_t MergePlace(uint64_t pair) const;

  std::string arena_;         // the bytes of all tokens, one after another
  std::vector<size_t> ends_;  // where each token's bytes end in arena_
  std::vector<TokenType> types_;
  std::vector<NormalSlot> normal_slots_;  // by hash of the bytes, open addressing, at most half full
  std::vector<MergeSlot> merge_slots_;    // by hash of the pair, likewise
  size_t num_merges_left_;
  std::array<TokenId, 256> byte_tokens_;
  size_t normal_bytes_max_ = 0;
};

}  // namespace autoglm
