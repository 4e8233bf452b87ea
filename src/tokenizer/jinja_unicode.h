#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace autoglm::jinja {

// Python's strings are sequences of code points; these read them out of UTF-8. Bytes that are no UTF-8 count as one code
// point for each maximal subpart.
struct CodePoint {
  static constexpr uint32_t kInvalid = 0xFFFFFFFF;
  uint32_t value = kInvalid;
  size_t num_bytes = 1;
};

CodePoint ReadMultiByteCodePoint(std::string_view text, size_t position);
// `position` < text.size().
inline CodePoint ReadCodePoint(std::string_view text, size_t position) {
  const auto lead = static_cast<uint8_t>(text[position]);
  return lead < 0x80 ? CodePoint{lead, 1} : ReadMultiByteCodePoint(text, position);
}
size_t CountCodePoints(std::string_view text);
// The byte at which the code point of this index starts; text.size() beyond the last.
size_t ByteOffset(std::string_view text, size_t code_point_index);
// `value` must be a code point, not a surrogate.
void AppendUtf8(std::string& out, uint32_t value);

// As Python's str.isspace, str.splitlines, str.isalpha, str.isdigit, str.isprintable.
bool IsSpace(uint32_t value);
bool IsLineBreak(uint32_t value);
bool IsAlphabetic(uint32_t value);
bool IsDigit(uint32_t value);
bool IsPrintable(uint32_t value);
bool IsUpper(uint32_t value);
bool IsLower(uint32_t value);

// One code point in the other case, appended as UTF-8. Simple mappings of Unicode, but sharp s becomes SS as in Python.
void AppendUpper(std::string& out, uint32_t value);
void AppendTitle(std::string& out, uint32_t value);
void AppendLower(std::string& out, uint32_t value);

// The bytes of `text` left after removing white space from its ends.
std::string_view StripSpace(std::string_view text);
std::string_view StripSpaceRight(std::string_view text);

}  // namespace autoglm::jinja
