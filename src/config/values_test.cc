#include "config/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace autoglm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ParseSeconds, UnitsAreSecondsToWeeks) {
  EXPECT_EQ(ParseSeconds("90s", 1, 100), 90);
  EXPECT_EQ(ParseSeconds("90m", 1, 100'000), 5400);
  EXPECT_EQ(ParseSeconds("12h", 1, 100'000), 43200);
  EXPECT_EQ(ParseSeconds("30d", 1, 10'000'000), 2'592'000);
  EXPECT_EQ(ParseSeconds("2w", 1, 10'000'000), 1'209'600);
  for (const char* bad : {"", "d", "30", "30 d", "-1d", "0s", "1.5h", "30D", "1000d", "9223372036854775807w"}) {
    EXPECT_FALSE(ParseSeconds(bad, 1, 10'000'000)) << bad;
  }
}

TEST(ParseDuration, UnitsAreMillisecondsToHours) {
  using namespace std::chrono_literals;
  EXPECT_EQ(ParseDuration("250ms", 0ms, 24h), 250ms);
  EXPECT_EQ(ParseDuration("2s", 0ms, 24h), 2s);
  EXPECT_EQ(ParseDuration("1.5s", 0ms, 24h), 1500ms);
  EXPECT_EQ(ParseDuration("1.001s", 0ms, 24h), 1001ms);
  EXPECT_EQ(ParseDuration("5m", 0ms, 24h), 5min);
  EXPECT_EQ(ParseDuration("0.5h", 0ms, 24h), 30min);
  EXPECT_EQ(ParseDuration("24h", 0ms, 24h), 24h);
  EXPECT_EQ(ParseDuration("0", 0ms, 24h), 0ms);
  EXPECT_EQ(ParseDuration("0s", 0ms, 24h), 0ms);
}

TEST(ParseDuration, RefusesWhatIsNoTimeOrOutOfRange) {
  using namespace std::chrono_literals;
  for (const std::string text : {"",      "2",       "ms",   "s",      "-1s", "2 s", " 2s",
                                 "2S",    "2sec",    "1e3s", "1.2.3s", ".",   "nan", "infs",
                                 "0.4ms", "1.0005s", "9ms",  "0",      "61m", "2h",  "99999999999999999999h"}) {
    const auto duration = ParseDuration(text, 10ms, 1h);
    ASSERT_FALSE(duration) << text;
    EXPECT_EQ(duration.error().message, "must be a time such as 250ms, 2s or 5m, from 10ms to 1h, not '" + text + "'");
  }
  EXPECT_FALSE(ParseDuration(std::string(400, '9') + "h", 0ms, 24h));
}

TEST(DurationText, IsInTheLargestUnitThatDividesIt) {
  using namespace std::chrono_literals;
  EXPECT_EQ(DurationText(0ms), "0");
  EXPECT_EQ(DurationText(1500ms), "1500ms");
  EXPECT_EQ(DurationText(90s), "90s");
  EXPECT_EQ(DurationText(120s), "2m");
  EXPECT_EQ(DurationText(24h), "24h");
}

TEST(ParsePlainText, RefusesWhatCouldBreakALine) {
  EXPECT_EQ(ParsePlainText("a b \xC3\xA4"), "a b \xC3\xA4");
  EXPECT_TRUE(ParsePlainText(std::string(4096, 'a')));
  EXPECT_EQ(ParsePlainText("").error().message, "must not be empty");
  EXPECT_EQ(ParsePlainText("a\nb").error().message, "must not hold control characters");
  EXPECT_EQ(ParsePlainText(std::string(4097, 'a')).error().message, "must be at most 4096 bytes");
}

TEST(ParseSwitch, TakesTheWordsOfYaml) {
  EXPECT_EQ(ParseSwitch("true"), true);
  EXPECT_EQ(ParseSwitch("on"), true);
  EXPECT_EQ(ParseSwitch("false"), false);
  EXPECT_EQ(ParseSwitch("off"), false);
  for (const std::string text : {"", "True", "1", "yes"}) {
    EXPECT_EQ(ParseSwitch(text).error().message, "must be true or false, not '" + text + "'");
  }
}

TEST(ParseByteSize, UnitsArePowersOf1024) {
  EXPECT_EQ(ParseByteSize("0"), 0);
  EXPECT_EQ(ParseByteSize("1048576"), 1 << 20);
  EXPECT_EQ(ParseByteSize("17B"), 17);
  EXPECT_EQ(ParseByteSize("512K"), 512 << 10);
  EXPECT_EQ(ParseByteSize("512M"), 512 << 20);
  EXPECT_EQ(ParseByteSize("512m"), 512 << 20);
  EXPECT_EQ(ParseByteSize("2G"), int64_t{2} << 30);
  EXPECT_EQ(ParseByteSize("2GB"), int64_t{2} << 30);
  EXPECT_EQ(ParseByteSize("2GiB"), int64_t{2} << 30);
  EXPECT_EQ(ParseByteSize("1.5G"), int64_t{3} << 29);
  EXPECT_EQ(ParseByteSize("1T"), int64_t{1} << 40);
}

TEST(ParseByteSize, RefusesWhatIsNoSize) {
  for (const std::string text : {"", "G", "-1", "1X", "1 G", "1GG", "1Gi", "1e3", "1.2.3", "Bi", "1BB", "0x10", "nan", "inf"}) {
    const Result<int64_t> size = ParseByteSize(text);
    ASSERT_FALSE(size) << text;
    EXPECT_EQ(size.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(size.error().message, HasSubstr("such as 512M or 2G, not '" + text + "'"));
  }
}

TEST(ParseByteSize, RefusesMoreThanAnyMachineHas) {
  EXPECT_TRUE(ParseByteSize("8192T"));
  EXPECT_FALSE(ParseByteSize("8193T"));
  EXPECT_FALSE(ParseByteSize(std::string(400, '9')));
}

TEST(ParseInteger, HoldsItsRange) {
  EXPECT_EQ(ParseInteger("1", 1, 10), 1);
  EXPECT_EQ(ParseInteger("10", 1, 10), 10);
  for (const std::string text : {"0", "11", "", "x", "1x", " 1", "1.0", "99999999999999999999"}) {
    const Result<int64_t> value = ParseInteger(text, 1, 10);
    ASSERT_FALSE(value) << text;
    EXPECT_EQ(value.error().message, "must be a whole number from 1 to 10, not '" + text + "'");
  }
}

TEST(ParseIntegerOrAuto, AutoIsZero) {
  EXPECT_EQ(ParseIntegerOrAuto("auto", 10), 0);
  EXPECT_EQ(ParseIntegerOrAuto("0", 10), 0);
  EXPECT_EQ(ParseIntegerOrAuto("10", 10), 10);
  EXPECT_FALSE(ParseIntegerOrAuto("11", 10));
  EXPECT_FALSE(ParseIntegerOrAuto("-1", 10));
  EXPECT_FALSE(ParseIntegerOrAuto("Auto", 10));
}

TEST(ParseReal, HoldsItsRange) {
  EXPECT_EQ(ParseReal("0.5", 0, 1), 0.5);
  EXPECT_EQ(ParseReal("1", 0, 1), 1.0);
  for (const char* text : {"1.01", "-0.1", "nan", "inf", "", "0.5x", "0,5"}) EXPECT_FALSE(ParseReal(text, 0, 1)) << text;
}

TEST(ParseTokenList, ReadsIdsInOrder) {
  EXPECT_THAT(*ParseTokenList("3"), ElementsAre(3));
  EXPECT_THAT(*ParseTokenList("1,2, 49151"), ElementsAre(1, 2, 49151));
}

TEST(ParseTokenList, RefusesHolesAndWords) {
  for (const char* text : {"", ",", "1,", "1,,2", "1;2", "a", "-1", "1.5", "4294967296"})
    EXPECT_FALSE(ParseTokenList(text)) << text;
}

}  // namespace
}  // namespace autoglm
