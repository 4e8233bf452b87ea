#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace autoglm {

// One metadata value. Integers of every width widen to int64 (uint64 above INT64_MAX is refused), floats to double.
// Arrays hold one kind each; an array of arrays is refused.
using GgufValue = std::variant<bool, int64_t, double, std::string, std::vector<bool>, std::vector<int64_t>, std::vector<double>,
                               std::vector<std::string>>;

// What a value is, in words for a message: "an integer", "a list of strings", ...
std::string_view GgufKindName(const GgufValue& value);

}  // namespace autoglm
