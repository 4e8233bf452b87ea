#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace autoglm {

// Which bytes of a text may not form part of a control token's spelling.
class PlainBytes {
 public:
  static PlainBytes All() { return PlainBytes(nullptr, true); }
  static PlainBytes None() { return PlainBytes(nullptr, false); }
  // `mask` must outlive the object.
  static PlainBytes Marked(const std::vector<bool>& mask) { return PlainBytes(&mask, false); }

  bool operator[](size_t position) const { return mask_ == nullptr ? all_ : (*mask_)[position]; }

 private:
  PlainBytes(const std::vector<bool>* mask, bool all) : mask_(mask), all_(all) {}

  const std::vector<bool>* mask_;
  bool all_;
};

// Finds the spellings of control and user-defined tokens in a text: the leftmost, and of those that start there the longest.
// User-defined tokens are ordinary text and match anywhere; control tokens only where no byte is plain.
class SpecialMatcher {
 public:
  // The matcher reads the vocabulary's bytes; it must outlive the matcher.
  explicit SpecialMatcher(const Vocabulary& vocabulary);

  struct Match {
    size_t begin = 0;
    size_t num_bytes = 0;
    TokenId token = 0;
  };
  std::optional<Match> FindNext(std::string_view text, size_t from, PlainBytes plain) const;
  // The token spelled exactly so.
  std::optional<TokenId> Find(std::string_view spelling) const;

 private:
  struct Entry {
    std::string_view spelling;
    TokenId token = 0;
    bool is_control = false;
  };
  std::optional<Match> MatchAt(std::string_view text, size_t begin, PlainBytes plain) const;

  std::vector<Entry> entries_;           // sorted by spelling
  std::array<bool, 256> first_bytes_{};  // some spelling starts with this byte
};

}  // namespace autoglm
