#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "json/json.h"

namespace autoglm {

// A tokenizer.json as it stands. The vocabulary and the merges are lists, because an ordered JSON object of 150,000 members
// takes quadratic time.
struct TokenizerJson {
  static constexpr size_t kBytesMax = size_t{256} << 20;

  struct Entry {
    std::string spelling;
    int64_t id = 0;
  };
  std::vector<Entry> vocab;                                 // model.vocab
  std::vector<std::pair<std::string, std::string>> merges;  // model.merges, best first
  Json rest;                                                // everything else

  // Memory is a small multiple of the text. Errors: kPayloadTooLarge, kCorruptFile (syntax, invalid UTF-8, nesting, a
  // vocabulary or merges of another shape), kUnsupported (a vocabulary with scores).
  static Result<TokenizerJson> Parse(std::string_view text);
};

}  // namespace autoglm
