#include "tokenizer/byte_token.h"

#include <charconv>

namespace autoglm {

std::optional<uint8_t> ByteFromSpelling(std::string_view spelling) {
  if (spelling.size() != 6 || !spelling.starts_with("<0x") || spelling.back() != '>') return std::nullopt;
  uint8_t byte = 0;
  const char* const end = spelling.data() + 5;
  const auto [stop, error] = std::from_chars(spelling.data() + 3, end, byte, 16);
  if (error != std::errc() || stop != end) return std::nullopt;
  return byte;
}

std::string SpellByte(uint8_t byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return {'<', '0', 'x', kDigits[byte >> 4], kDigits[byte & 15], '>'};
}

std::string SpacesFromMarks(std::string_view spelling) {
  std::string text;
  text.reserve(spelling.size());
  while (!spelling.empty()) {
    const size_t mark = spelling.find(kSpaceMark);
    text.append(spelling.substr(0, mark));
    if (mark == std::string_view::npos) break;
    text.push_back(' ');
    spelling.remove_prefix(mark + kSpaceMark.size());
  }
  return text;
}

}  // namespace autoglm
