#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace autoglm {

// Turns one piece of text into tokens: what differs between the kinds of tokenizer once text is normalised and cut.
// Immutable, so any thread may use it.
class PieceEncoder {
 public:
  virtual ~PieceEncoder() = default;

  // `piece` is valid UTF-8. O(n log n) in its length.
  virtual void Append(std::string_view piece, std::vector<TokenId>& tokens) const = 0;
  // A byte that is no part of valid UTF-8.
  virtual void AppendByte(uint8_t byte, std::vector<TokenId>& tokens) const = 0;
};

}  // namespace autoglm
