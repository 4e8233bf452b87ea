#include <array>
#include <charconv>

#include "tokenizer/jinja_lexer.h"
#include "tokenizer/jinja_unicode.h"

namespace autoglm::jinja {
namespace {

constexpr uint32_t kCodePointMax = 0x10FFFF;

char SimpleEscape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case 'a':
      return '\a';
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'v':
      return '\v';
    case '\\':
    case '\'':
    case '"':
      return c;
    default:
      return 0;
  }
}

// The number of hexadecimal digits after \x, \u and \U; 0 for other letters.
size_t HexDigits(char c) {
  switch (c) {
    case 'x':
      return 2;
    case 'u':
      return 4;
    case 'U':
      return 8;
    default:
      return 0;
  }
}

bool AppendCodePoint(std::string& out, uint32_t value) {
  const bool is_surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value > kCodePointMax || is_surrogate) return false;
  AppendUtf8(out, value);
  return true;
}

bool IsOctal(char c) { return c >= '0' && c <= '7'; }

}  // namespace

std::optional<std::string> UnescapeString(std::string_view literal) {
  std::string out;
  for (size_t at = 0; at < literal.size();) {
    if (literal[at] != '\\' || at + 1 == literal.size()) {
      out += literal[at++];
      continue;
    }
    const char letter = literal[at + 1];
    const size_t num_hex = HexDigits(letter);
    if (const char simple = SimpleEscape(letter)) {
      out += simple;
      at += 2;
    } else if (letter == '\n') {
      at += 2;  // a line that goes on
    } else if (num_hex > 0) {
      const std::string_view digits = literal.substr(at + 2, num_hex);
      uint32_t value = 0;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
      const bool is_complete = error == std::errc() && end == digits.data() + num_hex;
      if (!is_complete || !AppendCodePoint(out, value)) return std::nullopt;
      at += 2 + num_hex;
    } else if (IsOctal(letter)) {
      uint32_t value = 0;
      size_t end = at + 1;
      while (end < literal.size() && end < at + 4 && IsOctal(literal[end])) value = value * 8 + (literal[end++] - '0');
      AppendUtf8(out, value);
      at = end;
    } else if (letter == 'N') {
      return std::nullopt;  // names of characters are not built in
    } else {
      out += '\\';  // Python keeps the backslash of an escape it does not know
      ++at;
    }
  }
  return out;
}

}  // namespace autoglm::jinja
