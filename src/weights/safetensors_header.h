#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace autoglm {

// One entry of a safetensors header, as written.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0;  // data_offsets, from the end of the header
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in the order of the text
  std::map<std::string, std::string, std::less<>> metadata;
};

// Reads the JSON: names once each, shapes of at most kSafetensorsDimensionsMax dimensions whose product is below 2^60,
// offsets in order. Whether the offsets fit the file is for the caller to check.
// Errors: kCorruptFile, the message names the tensor.
Result<SafetensorsHeader> ParseSafetensorsHeader(std::string_view json);

inline constexpr size_t kSafetensorsDimensionsMax = 8;

}  // namespace autoglm
