#include "routing/prefix_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace autoglm::routing {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

std::string Text(size_t num_blocks, char letter = 'a') { return std::string(num_blocks * kPrefixBlockBytes, letter); }

class PrefixIndexTest : public testing::Test {
 protected:
  // "upstream:blocks", in the order that they were found in.
  std::vector<std::string> Find(const std::vector<uint64_t>& blocks) const {
    std::vector<PrefixIndex::Match> matches;
    index_.Find(blocks, now_, matches);
    std::vector<std::string> all;
    all.reserve(matches.size());
    for (const auto& match : matches) all.push_back(std::to_string(match.upstream) + ":" + std::to_string(match.num_blocks));
    return all;
  }

  TimePoint now_{seconds(100)};
  PrefixIndex index_{{.max_blocks = 4096, .lifetime = minutes(10)}};
};

TEST(PrefixBlocks, WholeBlocks_StandForAllTextBeforeThem) {
  const std::string a = Text(1, 'a') + Text(1, 'x');
  const std::string b = Text(1, 'b') + Text(1, 'x');
  EXPECT_EQ(PrefixBlocksOf(a, 0).size(), 2u);
  EXPECT_NE(PrefixBlocksOf(a, 0)[1], PrefixBlocksOf(b, 0)[1]);
  EXPECT_EQ(PrefixBlocksOf(a + "rest", 0), PrefixBlocksOf(a, 0));
  EXPECT_EQ(PrefixBlocksOf(Text(9), 0, 4).size(), 4u);
}

TEST(PrefixBlocks, Tenants_HaveTheirOwn) { EXPECT_NE(PrefixBlocksOf(Text(1), 1), PrefixBlocksOf(Text(1), 2)); }

TEST_F(PrefixIndexTest, Beginning_IsFoundWithWhoWasSentIt) {
  index_.Insert(PrefixBlocksOf(Text(3), 0), 7, now_);
  EXPECT_THAT(Find(PrefixBlocksOf(Text(3) + Text(2, 'b'), 0)), ElementsAre("7:3"));
  EXPECT_THAT(Find(PrefixBlocksOf(Text(2) + Text(2, 'b'), 0)), ElementsAre("7:2"));
  EXPECT_THAT(Find(PrefixBlocksOf(Text(3, 'b'), 0)), IsEmpty());
}

TEST_F(PrefixIndexTest, SeveralHolders_EachHasItsLength) {
  index_.Insert(PrefixBlocksOf(Text(4), 0), 1, now_);
  index_.Insert(PrefixBlocksOf(Text(2), 0), 2, now_);
  EXPECT_THAT(Find(PrefixBlocksOf(Text(5), 0)), ElementsAre("2:2", "1:4"));
}

TEST_F(PrefixIndexTest, FifthHolder_TakesTheOldestsPlace) {
  for (uint16_t upstream = 1; upstream <= 4; ++upstream) index_.Insert(PrefixBlocksOf(Text(1), 0), upstream, now_);
  index_.Insert(PrefixBlocksOf(Text(1), 0), 1, now_);
  index_.Insert(PrefixBlocksOf(Text(1), 0), 5, now_);
  EXPECT_THAT(Find(PrefixBlocksOf(Text(1), 0)), ElementsAre("5:1", "1:1", "4:1", "3:1"));
}

TEST_F(PrefixIndexTest, BeyondItsLifetime_IsNotFound) {
  index_.Insert(PrefixBlocksOf(Text(1), 0), 1, now_);
  now_ += minutes(10);
  EXPECT_THAT(Find(PrefixBlocksOf(Text(1), 0)), ElementsAre("1:1"));
  now_ += seconds(1);
  EXPECT_THAT(Find(PrefixBlocksOf(Text(1), 0)), IsEmpty());
}

TEST_F(PrefixIndexTest, Forgotten_TheOthersStay) {
  index_.Insert(PrefixBlocksOf(Text(2), 0), 1, now_);
  index_.Insert(PrefixBlocksOf(Text(2), 0), 2, now_);
  index_.Forget(2);
  EXPECT_THAT(Find(PrefixBlocksOf(Text(2), 0)), ElementsAre("1:2"));
}

TEST_F(PrefixIndexTest, Full_LosesTheOldest) {
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    for (int i = 0; i < 10; ++i) index_.Insert(PrefixBlocksOf(Text(64, letter) + std::to_string(i), i), 1, now_);
    now_ += seconds(1);
  }
  int64_t newest = 0;
  for (int i = 0; i < 10; ++i) newest += std::ssize(Find(PrefixBlocksOf(Text(64, 'z'), i)));
  EXPECT_EQ(newest, 10);
  int64_t oldest = 0;
  for (int i = 0; i < 10; ++i) oldest += std::ssize(Find(PrefixBlocksOf(Text(64, 'a'), i)));
  EXPECT_LT(oldest, 3) << "16640 blocks were sent, 4096 have room";
}

}  // namespace
}  // namespace autoglm::routing
