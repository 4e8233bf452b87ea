#include "engine/prefix_holds.h"

#include <gtest/gtest.h>

#include <numeric>

namespace autoglm {
namespace {

class PrefixHoldsTest : public testing::Test {
 protected:
  static std::vector<TokenId> Range(int64_t count, TokenId first = 0) {
    std::vector<TokenId> tokens(static_cast<size_t>(count));
    std::iota(tokens.begin(), tokens.end(), first);
    return tokens;
  }
  void Compute(const std::vector<TokenId>& tokens) {
    BlockTable table = blocks_.MatchPrefix(tokens, std::ssize(tokens));
    ASSERT_TRUE(blocks_.Grow(table, std::ssize(tokens)));
    blocks_.Commit(table, tokens, std::ssize(tokens));
    blocks_.Release(table);
  }
  // Takes all there is to take.
  void Flood() { Compute(Range(blocks_.num_available() * 32, 100'000)); }

  BlockManager blocks_{10};
  PrefixHolds holds_{blocks_, 5};
};

TEST_F(PrefixHoldsTest, HeldPrefix_StaysThroughAFlood) {
  Compute(Range(70));
  EXPECT_EQ(*holds_.Hold("a", Range(70), 0), 64);
  Flood();
  EXPECT_EQ(blocks_.PeekPrefix(Range(70), 70), 64);
  EXPECT_TRUE(blocks_.CheckIntegrity(holds_.tables()));
  holds_.Release("a");
  Flood();
  EXPECT_EQ(blocks_.PeekPrefix(Range(70), 70), 0);
}

TEST_F(PrefixHoldsTest, SameName_HoldsTheNewInPlaceOfTheOld) {
  Compute(Range(96));
  EXPECT_EQ(*holds_.Hold("a", Range(32), 0), 32);
  EXPECT_EQ(*holds_.Hold("a", Range(96), 0), 96);
  EXPECT_EQ(holds_.num_blocks(), 3);
}

TEST_F(PrefixHoldsTest, TooMuch_IsRefused_AndHoldsNothing) {
  Compute(Range(96));
  Compute(Range(96, 1000));
  EXPECT_TRUE(holds_.Hold("a", Range(96), 0));
  EXPECT_EQ(holds_.Hold("b", Range(96, 1000), 0).error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(holds_.num_blocks(), 3);
}

TEST_F(PrefixHoldsTest, Oldest_IsTheLongestUnused) {
  Compute(Range(32));
  Compute(Range(32, 1000));
  EXPECT_TRUE(holds_.Hold("a", Range(32), 0));
  EXPECT_TRUE(holds_.Hold("b", Range(32, 1000), 0));
  EXPECT_TRUE(holds_.Hold("a", Range(32), 0));
  EXPECT_TRUE(holds_.ReleaseOldest());
  Flood();
  EXPECT_EQ(blocks_.PeekPrefix(Range(32), 32), 32);
  EXPECT_EQ(blocks_.PeekPrefix(Range(32, 1000), 32), 0);
  EXPECT_TRUE(holds_.ReleaseOldest());
  EXPECT_FALSE(holds_.ReleaseOldest());
}

TEST_F(PrefixHoldsTest, UnknownPrefix_HoldsNothing) {
  EXPECT_EQ(*holds_.Hold("a", Range(64), 0), 0);
  EXPECT_EQ(holds_.num_blocks(), 0);
}

}  // namespace
}  // namespace autoglm
