#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace autoglm {

// What the bytes at the start of a text are.
enum class Utf8Kind {
  kCharacter,   // one well-formed character
  kInvalid,     // bytes that no continuation can turn into a character
  kIncomplete,  // the text ends inside what is so far a well-formed character
};

struct Utf8Sequence {
  Utf8Kind kind = Utf8Kind::kInvalid;
  size_t num_bytes = 0;  // kInvalid, kIncomplete: the maximal subpart, which one U+FFFD replaces (Unicode 3.9, WHATWG Encoding)
};

// `text` must not be empty. Overlong forms, surrogates and what lies above U+10FFFF are invalid (Unicode table 3-7).
Utf8Sequence ReadUtf8(std::string_view text);

// How many bytes of `text`, from its start, are well-formed characters.
size_t ValidUtf8Prefix(std::string_view text);

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

}  // namespace autoglm
