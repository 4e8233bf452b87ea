#pragma once

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace autoglm {

// The values people write behind flags and in files. Every error is kInvalidArgument with a message that tells what is allowed,
// to be put behind the option's name.

// "8", in [min, max].
Result<int64_t> ParseInteger(std::string_view text, int64_t min, int64_t max);
// As ParseInteger, and "auto" for 0.
Result<int64_t> ParseIntegerOrAuto(std::string_view text, int64_t max);
// "512,4096", each in [min, max]; at least one, at most 64.
Result<std::vector<int64_t>> ParseIntegerList(std::string_view text, int64_t min, int64_t max);
// "0.7", in [min, max].
Result<double> ParseReal(std::string_view text, double min, double max);
// Bytes: "1048576", "512K", "512M", "2G", "1.5G", "2GiB", "2GB"; every unit is a power of 1024.
Result<int64_t> ParseByteSize(std::string_view text);
// "600s", "90m", "12h", "30d", "2w", in [min, max] seconds.
Result<int64_t> ParseSeconds(std::string_view text, int64_t min, int64_t max);
// "250ms", "2s", "1.5s", "5m", "1h", "0", in [min, max]; whole milliseconds.
Result<std::chrono::milliseconds> ParseDuration(std::string_view text, std::chrono::milliseconds min,
                                                std::chrono::milliseconds max);
// In the largest of these units that divides it: "1h", "90s", "250ms".
std::string DurationText(std::chrono::milliseconds duration);
// "true", "on", "false", "off".
Result<bool> ParseSwitch(std::string_view text);
// Itself: 1 to 4096 bytes without control characters. Errors do not quote it, for it may be a secret.
Result<std::string> ParsePlainText(std::string_view text);
// "1,2,3"; spaces around the numbers are allowed.
Result<std::vector<TokenId>> ParseTokenList(std::string_view text);
// Where a server without keys may listen: "loopback", or "anywhere", which gives true.
Result<bool> ParseUnauthenticated(std::string_view text);

// Words and what they stand for.
template <typename T, size_t N>
using NameTable = std::array<std::pair<std::string_view, T>, N>;

template <typename T, size_t N>
Result<T> ParseName(std::string_view text, const NameTable<T, N>& names) {
  std::string known;
  for (const auto& [name, value] : names) {
    if (name == text) return value;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must be one of {}, not '{}'", known, text));
}

template <typename T, size_t N>
std::string_view NameIn(const NameTable<T, N>& names, T wanted) {
  for (const auto& [name, value] : names) {
    if (value == wanted) return name;
  }
  return "unknown";
}

}  // namespace autoglm
