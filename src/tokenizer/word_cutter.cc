#include "tokenizer/word_cutter.h"

#include <cstdint>

namespace autoglm {

WordCutter::WordCutter(const Vocabulary& vocabulary) {
  // Where a space alone is no token, it may be one unknown token together with its neighbours.
  if (!vocabulary.FindNormal(" ")) joins_space_.fill(true);
  for (TokenId token = 0; token < vocabulary.size(); ++token) {
    const std::string_view bytes = vocabulary.bytes(token);
    for (size_t i = 1; i < bytes.size(); ++i) {
      if (bytes[i] == ' ') joins_space_[static_cast<uint8_t>(bytes[i - 1])] = true;
    }
  }
}

size_t WordCutter::WordBytes(std::string_view text) const {
  for (size_t space = text.find(' ', 1); space != std::string_view::npos; space = text.find(' ', space + 1)) {
    if (!joins_space_[static_cast<uint8_t>(text[space - 1])]) return space;
  }
  return text.size();
}

}  // namespace autoglm
