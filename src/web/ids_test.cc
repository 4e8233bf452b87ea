#include "web/ids.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace autoglm {
namespace {

TEST(IdSource, Uuids_HaveTheirFormAndDiffer) {
  IdSource ids(7);
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = ids.NextUuid();
    ASSERT_EQ(id.size(), 36u);
    for (const size_t dash : {8, 13, 18, 23}) ASSERT_EQ(id[dash], '-');
    seen.insert(id);
  }
  EXPECT_EQ(seen.size(), 1000u);
  EXPECT_EQ(ids.NextHex().size(), 32u);
}

TEST(IdSource, Seeds_AreExactInADouble) {
  IdSource ids(7);
  int64_t largest = 0;
  for (int i = 0; i < 1000; ++i) {
    const int64_t seed = ids.NextSeed();
    ASSERT_GE(seed, 0);
    largest = std::max(largest, seed);
  }
  EXPECT_LT(largest, int64_t{1} << 53);
  EXPECT_GT(largest, int64_t{1} << 52);
}

TEST(IdSource, SameSeed_GivesTheSameIds) { EXPECT_EQ(IdSource(7).NextHex(), IdSource(7).NextHex()); }

TEST(IsValidRequestId, OnlyShortPrintableAscii_IsRepeated) {
  EXPECT_TRUE(IsValidRequestId("a"));
  EXPECT_TRUE(IsValidRequestId("trace 1/~"));
  EXPECT_TRUE(IsValidRequestId(std::string(128, 'x')));
  EXPECT_FALSE(IsValidRequestId(""));
  EXPECT_FALSE(IsValidRequestId(std::string(129, 'x')));
  EXPECT_FALSE(IsValidRequestId("a\r\nX: y"));
  EXPECT_FALSE(IsValidRequestId("\x7f"));
  EXPECT_FALSE(IsValidRequestId("é"));
}

}  // namespace
}  // namespace autoglm
