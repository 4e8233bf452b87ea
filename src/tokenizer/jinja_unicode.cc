#include "tokenizer/jinja_unicode.h"

#include <utf8proc.h>

#include "base/utf8.h"

namespace autoglm::jinja {
namespace {

constexpr uint32_t kSharpS = 0xDF;

utf8proc_category_t CategoryOf(uint32_t value) { return utf8proc_category(static_cast<utf8proc_int32_t>(value)); }

uint32_t Decode(std::string_view bytes) {
  const auto lead = static_cast<uint8_t>(bytes[0]);
  uint32_t value = lead & (0x7FU >> bytes.size());
  for (const char byte : bytes.substr(1)) value = (value << 6) | (static_cast<uint8_t>(byte) & 0x3FU);
  return value;
}

}  // namespace

CodePoint ReadMultiByteCodePoint(std::string_view text, size_t position) {
  const std::string_view rest = text.substr(position);
  const Utf8Sequence sequence = ReadUtf8(rest);
  if (sequence.kind != Utf8Kind::kCharacter) return {CodePoint::kInvalid, sequence.num_bytes};
  return {Decode(rest.substr(0, sequence.num_bytes)), sequence.num_bytes};
}

size_t CountCodePoints(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); at += ReadCodePoint(text, at).num_bytes) ++count;
  return count;
}

size_t ByteOffset(std::string_view text, size_t code_point_index) {
  size_t at = 0;
  for (size_t i = 0; i < code_point_index && at < text.size(); ++i) at += ReadCodePoint(text, at).num_bytes;
  return at;
}

void AppendUtf8(std::string& out, uint32_t value) {
  const auto push = [&out](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (value < 0x80) {
    push(value);
  } else if (value < 0x800) {
    push(0xC0 | (value >> 6));
    push(0x80 | (value & 0x3F));
  } else if (value < 0x10000) {
    push(0xE0 | (value >> 12));
    push(0x80 | ((value >> 6) & 0x3F));
    push(0x80 | (value & 0x3F));
  } else {
    push(0xF0 | (value >> 18));
    push(0x80 | ((value >> 12) & 0x3F));
    push(0x80 | ((value >> 6) & 0x3F));
    push(0x80 | (value & 0x3F));
  }
}

bool IsSpace(uint32_t value) {
  return (value >= 0x09 && value <= 0x0D) || (value >= 0x1C && value <= 0x20) || value == 0x85 || value == 0xA0 ||
         value == 0x1680 || (value >= 0x2000 && value <= 0x200A) || value == 0x2028 || value == 0x2029 || value == 0x202F ||
         value == 0x205F || value == 0x3000;
}

bool IsLineBreak(uint32_t value) {
  return (value >= 0x0A && value <= 0x0D) || (value >= 0x1C && value <= 0x1E) || value == 0x85 || value == 0x2028 ||
         value == 0x2029;
}

bool IsAlphabetic(uint32_t value) {
  if (value == CodePoint::kInvalid) return false;
  const utf8proc_category_t category = CategoryOf(value);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool IsDigit(uint32_t value) { return value != CodePoint::kInvalid && CategoryOf(value) == UTF8PROC_CATEGORY_ND; }

bool IsPrintable(uint32_t value) {
  if (value == ' ') return true;
  if (value == CodePoint::kInvalid) return false;
  switch (CategoryOf(value)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    default:
      return true;
  }
}

bool IsUpper(uint32_t value) { return value != CodePoint::kInvalid && CategoryOf(value) == UTF8PROC_CATEGORY_LU; }

bool IsLower(uint32_t value) { return value != CodePoint::kInvalid && CategoryOf(value) == UTF8PROC_CATEGORY_LL; }

void AppendUpper(std::string& out, uint32_t value) {
  if (value < 0x80) {
    out += static_cast<char>(value >= 'a' && value <= 'z' ? value - 0x20 : value);
  } else if (value == kSharpS) {
    out += "SS";
  } else {
    AppendUtf8(out, static_cast<uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(value))));
  }
}

void AppendTitle(std::string& out, uint32_t value) {
  if (value < 0x80) {
    AppendUpper(out, value);
  } else if (value == kSharpS) {
    out += "Ss";
  } else {
    AppendUtf8(out, static_cast<uint32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(value))));
  }
}

void AppendLower(std::string& out, uint32_t value) {
  if (value < 0x80) {
    out += static_cast<char>(value >= 'A' && value <= 'Z' ? value + 0x20 : value);
    return;
  }
  AppendUtf8(out, static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(value))));
}

std::string_view StripSpace(std::string_view text) {
  size_t begin = 0;
  while (begin < text.size()) {
    const CodePoint point = ReadCodePoint(text, begin);
    if (!IsSpace(point.value)) break;
    begin += point.num_bytes;
  }
  return StripSpaceRight(text.substr(begin));
}

std::string_view StripSpaceRight(std::string_view text) {
  size_t end = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = ReadCodePoint(text, at);
    at += point.num_bytes;
    if (!IsSpace(point.value)) end = at;
  }
  return text.substr(0, end);
}

}  // namespace autoglm::jinja
