#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace autoglm {

// Objects keep the order of their keys, because chat templates print them.
using Json = nlohmann::ordered_json;

// What a text may ask of memory and time before anything is built from it. An object is searched linearly for each of its
// members, so max_members bounds the square.
struct JsonLimits {
  int64_t max_bytes = 64 << 20;
  int64_t max_depth = 64;      // of objects and arrays
  int64_t max_members = 1024;  // of one object
  int64_t max_values = 1 << 18;
};

// Errors: kPayloadTooLarge beyond max_bytes, otherwise kInvalidArgument with the place and what was found: syntax, invalid
// UTF-8, a number beyond double, or a limit. Of a key given twice the last value counts.
Result<Json> ParseJson(std::string_view text, const JsonLimits& limits = {});

// The same of MessagePack. Strings are taken as they are, UTF-8 or not.
Result<Json> ParseMessagePack(std::span<const uint8_t> bytes, const JsonLimits& limits = {});

// Compact. Invalid UTF-8 inside strings becomes U+FFFD; numbers that are not finite become null.
std::string DumpJson(const Json& value);

// Appends `text` as the inside of a JSON string, without quotes. Invalid UTF-8 becomes U+FFFD.
void AppendJsonEscaped(std::string& out, std::string_view text);

}  // namespace autoglm
