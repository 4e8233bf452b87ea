#include "auth/base64url.h"

#include <algorithm>

namespace autoglm {
namespace {

// -1: not one of the alphabet.
int ValueOf(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '-' ? 62 : c == '_' ? 63 : -1;
}

}  // namespace

bool IsBase64Url(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return ValueOf(c) >= 0; });
}

std::optional<std::vector<uint8_t>> DecodeBase64Url(std::string_view text) {
  if (text.size() % 4 == 1 || !IsBase64Url(text)) return std::nullopt;
  std::vector<uint8_t> bytes;
  bytes.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int num_bits = 0;
  for (const char c : text) {
    bits = bits << 6 | static_cast<uint32_t>(ValueOf(c));
    num_bits += 6;
    if (num_bits < 8) continue;
    num_bits -= 8;
    bytes.push_back(static_cast<uint8_t>(bits >> num_bits));
    bits &= (1U << num_bits) - 1;
  }
  if (bits != 0) return std::nullopt;
  return bytes;
}

}  // namespace autoglm
