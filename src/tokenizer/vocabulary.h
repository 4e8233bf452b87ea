#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace autoglm {

// tokenizer.ggml.token_type of GGUF.
enum class TokenType : uint8_t {
  kUndefined = 0,
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// What a GGUF file says about its tokenizer. A view: the arrays must outlive the call they are passed to.
struct VocabularyData {
  std::string_view pre = "default";     // tokenizer.ggml.pre
  std::span<const std::string> tokens;  // spelled in GPT-2's byte alphabet where normal, else as they are
  std::span<const int64_t> types;       // as TokenType; empty: all are normal
  std::span<const std::string> merges;  // "left right", best first
  std::optional<int64_t> bos;
  std::vector<int64_t> eos;  // tokenizer.ggml.{eos,eot,eom}_token_id
  std::optional<bool> add_bos;
};

// The tokens of a byte-level BPE and the merges between them; lookups allocate nothing. Immutable.
class Vocabulary {
 public:
  // Errors: kCorruptFile (no tokens, lengths that disagree, an unknown type, a merge of unknown tokens).
  static Result<Vocabulary> Create(const VocabularyData& data);

  TokenId size() const { return static_cast<TokenId>(types_.size()); }
  bool Contains(int64_t token) const { return token >= 0 && token < size(); }
  // kByte reads as kNormal; the converter's filler tokens ("[PAD151646]") as kUnused, as which older files do not mark them.
  TokenType type(TokenId token) const { return types_[static_cast<size_t>(token)]; }
  // The bytes a normal or user-defined token stands for; the spelling of any other.
  std::string_view bytes(TokenId token) const;

  struct Merge {
    int32_t rank = 0;  // the lowest goes first
    TokenId merged = 0;
  };
  std::optional<Merge> FindMerge(TokenId left, TokenId right) const;
  // The normal token of exactly these bytes.
  std::optional<TokenId> FindNormal(std::string_view bytes) const;
  // As FindNormal for one byte. Some vocabularies lack bytes that did not occur in their training text.
  std::optional<TokenId> FindByte(uint8_t byte) const;

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

  Vocabulary() = default;
  Status AddTokens(const VocabularyData& data);
  Status AddMerges(std::span<const std::string> merges);
  Status AddMerge(std::string_view merge, int32_t rank);
  void IndexNormal(TokenId token);
  size_t NormalPlace(std::string_view bytes, uint64_t hash) const;
  size_t MergePlace(uint64_t pair) const;

  std::string arena_;         // the bytes of all tokens, one after another
  std::vector<size_t> ends_;  // where each token's bytes end in arena_
  std::vector<TokenType> types_;
  std::vector<NormalSlot> normal_slots_;  // by hash of the bytes, open addressing, at most half full
  std::vector<MergeSlot> merge_slots_;    // by hash of the pair, likewise
  std::array<TokenId, 256> byte_tokens_;
  size_t normal_bytes_max_ = 0;  // of the longest normal token
};

}  // namespace autoglm
