#pragma once

#include <array>
#include <string_view>

#include "tokenizer/vocabulary.h"

namespace autoglm {

// Finds where a text can be cut into words before merging, because no token reaches across. Most vocabularies of characters
// have spaces at the start of tokens and in runs of spaces only, so that a word ends before each space.
class WordCutter {
 public:
  explicit WordCutter(const Vocabulary& vocabulary);

  // How many bytes the first word of `text` has; `text` is not empty.
  size_t WordBytes(std::string_view text) const;

 private:
  std::array<bool, 256> joins_space_{};  // some token has a space right after this byte
};

}  // namespace autoglm
