#include "base/utf8.h"

#include <array>
#include <cstring>

namespace autoglm {
namespace {

struct Lead {
  uint8_t num_bytes = 0;  // of the whole character; 0 where no character starts with this byte
  uint8_t second_min = 0x80;
  uint8_t second_max = 0xBF;
};

// The second byte's range is what excludes overlong forms, surrogates and values above U+10FFFF.
constexpr Lead ClassifyLead(uint8_t byte) {
  if (byte < 0x80) return {.num_bytes = 1};
  if (byte >= 0xC2 && byte <= 0xDF) return {.num_bytes = 2};
  if (byte == 0xE0) return {.num_bytes = 3, .second_min = 0xA0};
  if (byte == 0xED) return {.num_bytes = 3, .second_max = 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {.num_bytes = 3};
  if (byte == 0xF0) return {.num_bytes = 4, .second_min = 0x90};
  if (byte == 0xF4) return {.num_bytes = 4, .second_max = 0x8F};
  if (byte >= 0xF1 && byte <= 0xF3) return {.num_bytes = 4};
  return {};
}

constexpr auto kLeads = [] {
  std::array<Lead, 256> leads;
  for (size_t i = 0; i < leads.size(); ++i) leads[i] = ClassifyLead(static_cast<uint8_t>(i));
  return leads;
}();

// Length of the ASCII text at the start, rounded down to whole words of 8 bytes.
size_t AsciiPrefix(std::string_view text) {
  size_t length = 0;
  for (; length + 8 <= text.size(); length += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + length, sizeof(word));
    if ((word & 0x8080808080808080ULL) != 0) break;
  }
  return length;
}

}  // namespace

Utf8Sequence ReadUtf8(std::string_view text) {
  const Lead lead = kLeads[static_cast<uint8_t>(text[0])];
  if (lead.num_bytes == 0) return {Utf8Kind::kInvalid, 1};

  for (size_t i = 1; i < lead.num_bytes; ++i) {
    if (i == text.size()) return {Utf8Kind::kIncomplete, i};
    const auto byte = static_cast<uint8_t>(text[i]);
    const uint8_t min = i == 1 ? lead.second_min : 0x80;
    const uint8_t max = i == 1 ? lead.second_max : 0xBF;
    if (byte < min || byte > max) return {Utf8Kind::kInvalid, i};
  }
  return {Utf8Kind::kCharacter, lead.num_bytes};
}

size_t ValidUtf8Prefix(std::string_view text) {
  size_t position = 0;
  while (position < text.size()) {
    position += AsciiPrefix(text.substr(position));
    if (position == text.size()) break;
    const Utf8Sequence sequence = ReadUtf8(text.substr(position));
    if (sequence.kind != Utf8Kind::kCharacter) break;
    position += sequence.num_bytes;
  }
  return position;
}

}  // namespace autoglm
