#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
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
  // What Hugging Face calls lstrip, rstrip and single_word.
  struct Options {
    bool takes_space_before = false;  // the match includes the white space before the spelling
    bool takes_space_after = false;
    bool is_single_word = false;  // no match where a letter, a digit or an underscore stands next to the spelling
  };
  using OptionsByToken = std::unordered_map<TokenId, Options>;

  // The matcher reads the vocabulary's bytes; it must outlive the matcher.
  explicit SpecialMatcher(const Vocabulary& vocabulary, const OptionsByToken& options = {});

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
    Options options;
  };
  const Entry* MatchAt(std::string_view text, size_t begin, PlainBytes plain) const;
  static Match WithSpaces(const Entry& entry, std::string_view text, size_t from, size_t begin);

  std::vector<Entry> entries_;             // sorted by spelling
  std::array<uint32_t, 257> first_bytes_;  // [b, b + 1): the entries whose spelling starts with byte b
};

}  // namespace autoglm
