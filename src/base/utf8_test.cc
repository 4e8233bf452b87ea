#include "base/utf8.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

void ExpectReads(std::string_view text, Utf8Kind kind, size_t num_bytes) {
  const Utf8Sequence sequence = ReadUtf8(text);
  EXPECT_EQ(sequence.kind, kind) << testing::PrintToString(text);
  EXPECT_EQ(sequence.num_bytes, num_bytes) << testing::PrintToString(text);
}

std::string EncodeUtf8(uint32_t code_point) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | (code_point >> shift & 0x3F)); };
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  if (code_point < 0x800) return {static_cast<char>(0xC0 | code_point >> 6), tail(0)};
  if (code_point < 0x10000) return {static_cast<char>(0xE0 | code_point >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | code_point >> 18), tail(12), tail(6), tail(0)};
}

TEST(Utf8, EveryCodePointIsOneCharacter_ExceptSurrogatesAndWhatLiesAboveTheLast) {
  for (uint32_t code_point = 0; code_point < 0x120000; ++code_point) {
    const std::string text = EncodeUtf8(code_point);
    const bool is_valid = code_point < 0x110000 && (code_point < 0xD800 || code_point > 0xDFFF);
    ASSERT_EQ(ReadUtf8(text).kind == Utf8Kind::kCharacter, is_valid) << code_point;
    ASSERT_EQ(ValidUtf8Prefix(text), is_valid ? text.size() : 0) << code_point;
  }
}

TEST(Utf8, OverlongForms_AreInvalidFromTheirFirstByte) {
  ExpectReads("\xC0\x80", Utf8Kind::kInvalid, 1);
  ExpectReads("\xC1\xBF", Utf8Kind::kInvalid, 1);
  ExpectReads("\xE0\x9F\xBF", Utf8Kind::kInvalid, 1);
  ExpectReads("\xF0\x8F\xBF\xBF", Utf8Kind::kInvalid, 1);
}

TEST(Utf8, BrokenCharacters_EndWhereNoContinuationCouldHaveHelped) {
  ExpectReads("\xE4\xBD!", Utf8Kind::kInvalid, 2);
  ExpectReads("\xF0\x9F\x91\xF0", Utf8Kind::kInvalid, 3);
  ExpectReads("\xED\xA0\x80", Utf8Kind::kInvalid, 1);      // a surrogate
  ExpectReads("\xF4\x90\x80\x80", Utf8Kind::kInvalid, 1);  // U+110000
  ExpectReads("\x80", Utf8Kind::kInvalid, 1);
  ExpectReads("\xFF", Utf8Kind::kInvalid, 1);
}

TEST(Utf8, CutCharacters_AreIncompleteAndNotInvalid) {
  ExpectReads("\xC3", Utf8Kind::kIncomplete, 1);
  ExpectReads("\xE4\xBD", Utf8Kind::kIncomplete, 2);
  ExpectReads("\xF0\x9F\x91", Utf8Kind::kIncomplete, 3);
}

TEST(Utf8, ValidPrefix_EndsAtTheFirstBrokenByteWhereverItStands) {
  for (size_t num_before = 0; num_before < 40; ++num_before) {
    const std::string valid(num_before, 'x');
    EXPECT_EQ(ValidUtf8Prefix(valid), num_before);
    std::string broken = valid + "\xFF";
    broken += valid;
    EXPECT_EQ(ValidUtf8Prefix(broken), num_before);
    EXPECT_EQ(ValidUtf8Prefix(valid + "\xC3\xA9\xE4\xBD"), num_before + 2);
  }
}

}  // namespace
}  // namespace autoglm
