#include "web/url.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

TEST(PercentDecode, Escapes_BecomeBytesAndTheRestStays) {
  EXPECT_EQ(PercentDecode("a%2Fb%20c"), "a/b c");
  EXPECT_EQ(PercentDecode("%c3%A9"), "é");
  EXPECT_EQ(PercentDecode("plain"), "plain");
  EXPECT_EQ(PercentDecode(""), "");
}

TEST(PercentDecode, BrokenEscapes_StayAsTheyAre) {
  for (const char* text : {"%", "%2", "a%2", "%zz", "%2z", "%-1", "%%"}) EXPECT_EQ(PercentDecode(text), text);
}

}  // namespace
}  // namespace autoglm
