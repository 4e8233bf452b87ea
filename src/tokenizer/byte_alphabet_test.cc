#include "tokenizer/byte_alphabet.h"

#include <gtest/gtest.h>

#include <set>

namespace autoglm {
namespace {

TEST(ByteAlphabet, EveryByteHasItsOwnSpelling_AndComesBack) {
  std::set<std::string> spellings;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string bytes(1, static_cast<char>(byte));
    const std::string spelling = AlphabetFromBytes(bytes);
    spellings.insert(spelling);
    std::string back;
    EXPECT_TRUE(AppendBytesFromAlphabet(spelling, back));
    EXPECT_EQ(back, bytes);
  }
  EXPECT_EQ(spellings.size(), 256U);
}

TEST(ByteAlphabet, SpellsAsGpt2Does) {
  EXPECT_EQ(AlphabetFromBytes(" a\n\t"), "ĠaĊĉ");
  EXPECT_EQ(AlphabetFromBytes("\xC3\xA9"), "Ã©");
  EXPECT_EQ(AlphabetFromBytes(std::string("\x00\x7F\xAD\xFF", 4)), "ĀġŃÿ");
}

TEST(ByteAlphabet, CharactersOutside_AreRefusedAndLeaveNothingBehind) {
  // A space, U+0144 (one past the end), U+00AD, a longer character, a cut one and an overlong one.
  for (const char* const spelling : {"a b", "\xC5\x84", "\xC2\xAD", "a你", "a\xC4", "\xC1\xA1", "\xFF"}) {
    std::string bytes = "before";
    EXPECT_FALSE(AppendBytesFromAlphabet(spelling, bytes)) << spelling;
    EXPECT_EQ(bytes, "before");
  }
}

}  // namespace
}  // namespace autoglm
