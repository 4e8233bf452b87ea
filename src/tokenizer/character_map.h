#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace autoglm {

// SentencePiece's precompiled_charsmap: what some sequences of characters are replaced by (NFKC and the like), as a double
// array trie. The bytes are untrusted. Sources: google/sentencepiece, src/normalizer.cc; s-yata/darts-clone, include/darts.h.
class CharacterMap {
 public:
  // Errors: kCorruptFile.
  static Result<CharacterMap> Parse(std::string_view bytes);

  // `text` is valid UTF-8; so is the result, if the map's replacements are.
  std::string Apply(std::string_view text) const;

 private:
  struct Match {
    size_t num_bytes = 0;  // 0: none
    std::string_view replacement;
  };
  Match LongestMatch(std::string_view text) const;
  std::string_view ReplacementAt(uint32_t offset) const;

  std::vector<uint32_t> units_;
  std::string replacements_;  // each ends with a zero byte
};

}  // namespace autoglm
