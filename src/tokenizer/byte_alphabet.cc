#include "tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

namespace autoglm {
namespace {

constexpr bool IsPrintable(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

constexpr uint32_t kNumBytes = 256;
constexpr uint32_t kNumCharacters = 0x144;  // 0x100 + the 68 bytes that are not printable
constexpr int16_t kNoByte = -1;

struct Alphabet {
  std::array<uint16_t, kNumBytes> character_of_byte{};
  std::array<int16_t, kNumCharacters> byte_of_character{};
};

constexpr Alphabet kAlphabet = [] {
  Alphabet alphabet;
  alphabet.byte_of_character.fill(kNoByte);
  uint32_t next = kNumBytes;
  for (uint32_t byte = 0; byte < kNumBytes; ++byte) {
    const uint32_t character = IsPrintable(byte) ? byte : next++;
    alphabet.character_of_byte[byte] = static_cast<uint16_t>(character);
    alphabet.byte_of_character[character] = static_cast<int16_t>(byte);
  }
  return alphabet;
}();

struct Character {
  uint32_t value = kNumCharacters;  // kNumCharacters: outside the alphabet
  size_t num_bytes = 0;
};

// The alphabet ends at U+0143, so its characters have one or two bytes of UTF-8.
Character ReadCharacter(std::string_view text) {
  const uint32_t first = static_cast<uint8_t>(text[0]);
  if (first < 0x80) return {first, 1};
  const uint32_t second = text.size() > 1 ? static_cast<uint8_t>(text[1]) : 0;
  // C0 and C1 would start an overlong form.
  if (first < 0xC2 || first > 0xDF || (second & 0xC0) != 0x80) return {};
  return {(first & 0x1F) << 6 | (second & 0x3F), 2};
}

}  // namespace

bool AppendBytesFromAlphabet(std::string_view spelling, std::string& bytes) {
  const size_t num_before = bytes.size();
  while (!spelling.empty()) {
    const Character character = ReadCharacter(spelling);
    const int16_t byte = character.value < kNumCharacters ? kAlphabet.byte_of_character[character.value] : kNoByte;
    if (byte == kNoByte) {
      bytes.resize(num_before);
      return false;
    }
    bytes.push_back(static_cast<char>(byte));
    spelling.remove_prefix(character.num_bytes);
  }
  return true;
}

std::string AlphabetFromBytes(std::string_view bytes) {
  std::string spelling;
  for (const char byte : bytes) {
    const uint32_t character = kAlphabet.character_of_byte[static_cast<uint8_t>(byte)];
    if (character < 0x80) {
      spelling.push_back(static_cast<char>(character));
    } else {
      spelling.push_back(static_cast<char>(0xC0 | character >> 6));
      spelling.push_back(static_cast<char>(0x80 | (character & 0x3F)));
    }
  }
  return spelling;
}

}  // namespace autoglm
