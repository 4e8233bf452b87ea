#include "cli/text_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace autoglm {
namespace {

using testing::ElementsAre;

TEST(FormatBytes, UsesTheLargestUnitThatFits) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1024), "1.0 KiB");
  EXPECT_EQ(FormatBytes(93431808), "89.1 MiB");
  EXPECT_EQ(FormatBytes((int64_t{1} << 30) - 1), "1.0 GiB");  // not "1024.0 MiB"
  EXPECT_EQ(FormatBytes(int64_t{5} << 50), "5120.0 TiB");
}

TEST(FormatCount, UsesPowersOfThousand) {
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(134515008), "134.5 M");
  EXPECT_EQ(FormatCount(8030261248), "8.0 B");
}

TEST(FormatSeconds, ChoosesAReadableUnit) {
  EXPECT_EQ(FormatSeconds(0.0312), "31 ms");
  EXPECT_EQ(FormatSeconds(0.9999), "1.00 s");
  EXPECT_EQ(FormatSeconds(1.239), "1.24 s");
  EXPECT_EQ(FormatSeconds(59.999), "1 min 0 s");
  EXPECT_EQ(FormatSeconds(200), "3 min 20 s");
  EXPECT_EQ(FormatSeconds(7320), "2 h 2 min");
}

TEST(WrapText, BreaksAtSpacesOnly) {
  EXPECT_THAT(WrapText("one two three", 7), ElementsAre("one two", "three"));
  EXPECT_THAT(WrapText("one two three", 8), ElementsAre("one two", "three"));
  EXPECT_THAT(WrapText("incomprehensible no", 5), ElementsAre("incomprehensible", "no"));
}

TEST(WrapText, KeepsLineBreaks) { EXPECT_THAT(WrapText("a\n\nb", 80), ElementsAre("a", "", "b")); }

TEST(FormatTable, AlignsValues) { EXPECT_EQ(FormatTable({{"a", "1"}, {"long", "2"}}), "  a     1\n  long  2\n"); }

TEST(StripControlCharacters, KeepsTextAndLineFeeds) { EXPECT_EQ(StripControlCharacters("a\tb\nç 你 👍"), "a\tb\nç 你 👍"); }

TEST(StripControlCharacters, RemovesWhatMovesTheCursor) {
  EXPECT_EQ(StripControlCharacters("\x1b[2Jx\x07\r\x7f"), "[2Jx");
  EXPECT_EQ(StripControlCharacters("a\xc2\x9b"
                                   "b\xc2\xa0"),
            "ab\xc2\xa0");  // U+009B goes, a no-break space stays
}

TEST(FormatMilliseconds, KeepsThreeDigitsOrSo) {
  EXPECT_EQ(FormatMilliseconds(0.0214), "0.021 ms");
  EXPECT_EQ(FormatMilliseconds(4.52), "4.5 ms");
  EXPECT_EQ(FormatMilliseconds(320.4), "320 ms");
  EXPECT_EQ(FormatMilliseconds(1243), "1.24 s");
}

}  // namespace
}  // namespace autoglm
