#include "kvcache/block_manager.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <vector>

#include "base/random.h"

namespace autoglm {
namespace {

std::vector<TokenId> Range(int64_t count, TokenId first = 0) {
  std::vector<TokenId> tokens(static_cast<size_t>(count));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

class BlockManagerTest : public testing::Test {
 protected:
  // A sequence that matched its prefix and computed everything.
  BlockTable Run(const std::vector<TokenId>& tokens, const CacheScope& scope = {}) {
    BlockTable table = blocks_.MatchPrefix(tokens, std::ssize(tokens) - 1, scope);
    EXPECT_TRUE(blocks_.Grow(table, std::ssize(tokens)));
    blocks_.Commit(table, tokens, std::ssize(tokens), scope);
    return table;
  }
  void RunAndRelease(const std::vector<TokenId>& tokens, const CacheScope& scope = {}) {
    BlockTable table = Run(tokens, scope);
    blocks_.Release(table);
  }
  void ExpectBlocks(int64_t num_free, int64_t num_cached, int64_t num_used) {
    const BlockManagerStats stats = blocks_.stats();
    EXPECT_EQ(stats.num_free, num_free);
    EXPECT_EQ(stats.num_cached, num_cached);
    EXPECT_EQ(stats.num_used, num_used);
    EXPECT_EQ(blocks_.num_available(), num_free + num_cached);
    const auto status = blocks_.CheckIntegrity();
    EXPECT_TRUE(status) << status.error().message;
  }

  BlockManager blocks_{10};
};

TEST_F(BlockManagerTest, NewManager_HasOnlyFreeBlocks) {
  ExpectBlocks(10, 0, 0);
  EXPECT_EQ(blocks_.PeekPrefix(Range(100), 100), 0);
}

TEST_F(BlockManagerTest, PrefixHit_ReusesWholeBlocksOnly) {
  BlockTable first = Run(Range(100));
  BlockTable second = blocks_.MatchPrefix(Range(80), 79);
  EXPECT_EQ(second.num_shared, 2);
  EXPECT_EQ(second.blocks, std::vector(first.blocks.begin(), first.blocks.begin() + 2));
  ExpectBlocks(6, 0, 4);
  blocks_.Release(first);
  ExpectBlocks(7, 1, 2);
  blocks_.Release(second);
  ExpectBlocks(7, 3, 0);
}

TEST_F(BlockManagerTest, PrefixHit_NeverExceedsMaxTokens) {
  RunAndRelease(Range(96));
  EXPECT_EQ(blocks_.PeekPrefix(Range(96), 96), 96);
  EXPECT_EQ(blocks_.PeekPrefix(Range(96), 95), 64);
  EXPECT_EQ(blocks_.PeekPrefix(Range(96), 0), 0);
  BlockTable table = blocks_.MatchPrefix(Range(96), 95);
  EXPECT_EQ(table.blocks.size(), 2u);
  blocks_.Release(table);
}

TEST_F(BlockManagerTest, PrefixHit_EndsAtTheFirstDifferentBlock) {
  RunAndRelease(Range(96));
  auto tokens = Range(96);
  tokens[40] = 9999;
  EXPECT_EQ(blocks_.PeekPrefix(tokens, 96), 32);
}

TEST_F(BlockManagerTest, PrefixHit_NeverCrossesSalts) {
  RunAndRelease(Range(64), 1);
  EXPECT_EQ(blocks_.PeekPrefix(Range(64), 64, 2), 0);
  EXPECT_EQ(blocks_.PeekPrefix(Range(64), 64, 1), 64);
  RunAndRelease(Range(64), 2);
  ExpectBlocks(6, 4, 0);
}

TEST_F(BlockManagerTest, PeekPrefix_TouchesNothing) {
  RunAndRelease(Range(32));
  RunAndRelease(Range(32, 500));
  EXPECT_EQ(blocks_.PeekPrefix(Range(32), 32), 32);
  EXPECT_EQ(blocks_.stats().prefix_queries, 62);
  BlockTable table;
  ASSERT_TRUE(blocks_.Grow(table, 9 * kBlockSizeTokens));
  EXPECT_EQ(blocks_.PeekPrefix(Range(32), 32), 0) << "the older prefix goes first, peeked at or not";
  EXPECT_EQ(blocks_.PeekPrefix(Range(32, 500), 32), 32);
  blocks_.Release(table);
}

TEST_F(BlockManagerTest, Stats_CountTokensLookedUpAndFound) {
  RunAndRelease(Range(100));
  RunAndRelease(Range(100));
  EXPECT_EQ(blocks_.stats().prefix_queries, 198);
  EXPECT_EQ(blocks_.stats().prefix_hits, 96);
}

TEST_F(BlockManagerTest, Grow_EvictsLeastRecentlyUsedAndOnlyWhatIsNeeded) {
  RunAndRelease(Range(96));
  RunAndRelease(Range(96, 1000));
  BlockTable table;
  ASSERT_TRUE(blocks_.Grow(table, 6 * kBlockSizeTokens));
  ExpectBlocks(0, 4, 6);
  EXPECT_EQ(blocks_.stats().num_evicted, 2);
  EXPECT_EQ(blocks_.PeekPrefix(Range(96), 96), 32) << "the tail of the older prefix is evicted";
  EXPECT_EQ(blocks_.PeekPrefix(Range(96, 1000), 96), 96);
  blocks_.Release(table);
}

TEST_F(BlockManagerTest, Grow_ThatCannotSucceedChangesNothing) {
  RunAndRelease(Range(96));
  BlockTable holder;
  ASSERT_TRUE(blocks_.Grow(holder, 5 * kBlockSizeTokens));
  BlockTable table;
  EXPECT_FALSE(blocks_.Grow(table, 6 * kBlockSizeTokens));
  EXPECT_TRUE(table.blocks.empty());
  EXPECT_EQ(blocks_.stats().num_evicted, 0);
  ExpectBlocks(2, 3, 5);
  EXPECT_TRUE(blocks_.Grow(table, 5 * kBlockSizeTokens));
  ExpectBlocks(0, 0, 10);
  blocks_.Release(holder);
  blocks_.Release(table);
}

TEST_F(BlockManagerTest, Grow_ToFewerTokensKeepsTheTable) {
  BlockTable table;
  ASSERT_TRUE(blocks_.Grow(table, 65));
  ASSERT_TRUE(blocks_.Grow(table, 10));
  EXPECT_EQ(table.blocks.size(), 3u);
  blocks_.Release(table);
}

TEST_F(BlockManagerTest, Commit_KeepsPartialBlocksPrivate) {
  const auto tokens = Range(70);
  BlockTable table;
  ASSERT_TRUE(blocks_.Grow(table, 70));
  blocks_.Commit(table, tokens, 31);
  EXPECT_EQ(table.num_shared, 0);
  blocks_.Commit(table, tokens, 63);
  EXPECT_EQ(table.num_shared, 1);
  blocks_.Commit(table, tokens, 70);
  EXPECT_EQ(table.num_shared, 2);
  EXPECT_EQ(blocks_.PeekPrefix(tokens, 70), 64);
  blocks_.Release(table);
  EXPECT_TRUE(table.blocks.empty());
  ExpectBlocks(8, 2, 0);
}

TEST_F(BlockManagerTest, Commit_OfKnownTokensSwitchesToTheTreesBlockAndFreesItsOwn) {
  const auto tokens = Range(64);
  BlockTable first;
  BlockTable second;
  ASSERT_TRUE(blocks_.Grow(first, 64));
  ASSERT_TRUE(blocks_.Grow(second, 64));
  blocks_.Commit(first, tokens, 64);
  ExpectBlocks(6, 0, 4);
  blocks_.Commit(second, tokens, 64);
  EXPECT_EQ(second.blocks, first.blocks);
  ExpectBlocks(8, 0, 2);
  const std::vector<const BlockTable*> tables = {&first, &second};
  EXPECT_TRUE(blocks_.CheckIntegrity(tables));
  blocks_.Release(first);
  ExpectBlocks(8, 0, 2);
  blocks_.Release(second);
  ExpectBlocks(8, 2, 0);
}

TEST_F(BlockManagerTest, NumBlocksNeeded_CountsFreshAndRevivedBlocksButNotUsedOnes) {
  EXPECT_EQ(blocks_.NumBlocksNeeded(Range(96), 95, 97), 4);
  BlockTable table = Run(Range(64));
  EXPECT_EQ(blocks_.NumBlocksNeeded(Range(96), 95, 97), 2);
  blocks_.Release(table);
  EXPECT_EQ(blocks_.NumBlocksNeeded(Range(96), 95, 97), 4);
}

TEST_F(BlockManagerTest, ClearCache_ForgetsUnusedPrefixesOnly) {
  BlockTable table = Run(Range(64));
  RunAndRelease(Range(64, 1000));
  blocks_.ClearCache();
  ExpectBlocks(8, 0, 2);
  EXPECT_EQ(blocks_.PeekPrefix(Range(64), 64), 64);
  blocks_.Release(table);
}

using BlockManagerDeathTest = BlockManagerTest;

TEST_F(BlockManagerDeathTest, Commit_BeyondTokensOrBlocksIsABug) {
  BlockTable table;
  ASSERT_TRUE(blocks_.Grow(table, 32));
  EXPECT_DEATH(blocks_.Commit(table, Range(32), 33), "num_computed");
  EXPECT_DEATH(blocks_.Commit(table, Range(64), 33), "num_computed");
  blocks_.Release(table);
}

TEST_F(BlockManagerTest, CheckIntegrity_FindsTablesThatDisagree) {
  const BlockTable good = Run(Range(100));
  const BlockTable other = Run(Range(100, 500));
  const auto check = [&](const BlockTable& table) {
    const std::vector<const BlockTable*> tables = {&table, &other};
    return blocks_.CheckIntegrity(tables).has_value();
  };
  EXPECT_TRUE(check(good));

  std::vector<BlockTable> bad(7, good);
  bad[0].blocks.pop_back();                       // a block nobody holds
  bad[1].blocks.push_back(bad[1].blocks.back());  // held twice
  bad[2].blocks[3] = other.blocks[3];             // someone else's
  bad[3].blocks[3] = 9;                           // a free one
  bad[4].blocks[3] = 10;                          // does not exist
  bad[5].num_shared = 4;                          // the tree does not know it
  std::swap(bad[6].blocks[0], bad[6].blocks[1]);  // the tree has another order
  for (size_t i = 0; i < bad.size(); ++i) EXPECT_FALSE(check(bad[i])) << i;
  EXPECT_FALSE(blocks_.CheckIntegrity({})) << "two live tables are not given";
}

// One step of a random life: tables start, grow, commit and go, over prompts that share prefixes in two salts.
class RandomLife {
 public:
  RandomLife(uint64_t seed, bool copies) : random_(seed), blocks_(12) {
    if (copies) {
      blocks_.SetCopy([this](BlockIndex from, BlockIndex to) {
        EXPECT_NE(from, to);
        ++num_copies_;
      });
    }
    blocks_.SetCost([](int64_t first_token, int64_t num_tokens, const BlockKey&) {
      return static_cast<double>(num_tokens * (100 + first_token));
    });
  }
  int64_t num_copies() const { return num_copies_; }

  void Step() {
    if (lives_.size() < 6 && random_.NextBelow(3) == 0) return Start();
    if (lives_.empty()) return;
    const size_t i = random_.NextBelow(lives_.size());
    Life& life = lives_[i];
    if (random_.NextBelow(8) == 0) {
      blocks_.Release(life.table);
      lives_.erase(lives_.begin() + static_cast<ptrdiff_t>(i));
      return;
    }
    const auto end =
        std::min<int64_t>(std::ssize(life.tokens), life.num_computed + 1 + static_cast<int64_t>(random_.NextBelow(50)));
    if (!blocks_.Grow(life.table, end)) return;
    life.num_computed = end;
    blocks_.Commit(life.table, life.tokens, end, life.salt);
  }

  Status Check() const {
    std::vector<const BlockTable*> tables;
    tables.reserve(lives_.size());
    for (const Life& life : lives_) tables.push_back(&life.table);
    return blocks_.CheckIntegrity(tables);
  }
  const BlockManager& blocks() const { return blocks_; }

 private:
  struct Life {
    std::vector<TokenId> tokens;
    uint64_t salt = 0;
    int64_t num_computed = 0;
    BlockTable table = {};
  };

  void Start() {
    Life life{.tokens = Range(1 + static_cast<int64_t>(random_.NextBelow(200))), .salt = random_.NextBelow(2)};
    if (random_.NextBelow(2) == 0) life.tokens[random_.NextBelow(life.tokens.size())] = 7777;
    life.table = blocks_.MatchPrefix(life.tokens, std::ssize(life.tokens) - 1, life.salt);
    life.num_computed = life.table.num_matched_tokens;
    lives_.push_back(std::move(life));
  }

  Random random_;
  BlockManager blocks_;
  std::vector<Life> lives_;
  int64_t num_copies_ = 0;
};

TEST(BlockManagerProperty, RandomLives_KeepEverythingConsistent) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    RandomLife life(seed, seed > 4);
    for (int step = 0; step < 3000; ++step) {
      life.Step();
      const auto status = life.Check();
      ASSERT_TRUE(status) << "step " << step << ": " << status.error().message;
    }
    EXPECT_GT(life.blocks().stats().num_evicted, 100);
    EXPECT_EQ(life.num_copies() > 0, seed > 4);
    EXPECT_GT(life.blocks().stats().prefix_hits, 1000);
  }
}

// Follows what it is told, and knows at any time what the tree holds.
class Follower : public BlockListener {
 public:
  void OnStored(BlockIndex block, const BlockKey& key, const BlockKey& parent, std::span<const TokenId> tokens) override {
    EXPECT_TRUE(known_.emplace(block, key).second);
    EXPECT_EQ(key, BlockKey::Of(parent, tokens, 0));
  }
  void OnRemoved(BlockIndex block, const BlockKey& key, BlockRemoval why) override {
    ++num_removed_[why];
    EXPECT_EQ(known_[block], key);
    known_.erase(block);
  }
  size_t num_known() const { return known_.size(); }
  int64_t num_removed(BlockRemoval why) { return num_removed_[why]; }

 private:
  std::map<BlockIndex, BlockKey> known_;
  std::map<BlockRemoval, int64_t> num_removed_;
};

class PartialBlocksTest : public BlockManagerTest {
 protected:
  PartialBlocksTest() {
    blocks_.SetCopy([this](BlockIndex from, BlockIndex to) { copies_.emplace_back(from, to); });
  }
  std::vector<std::pair<BlockIndex, BlockIndex>> copies_;
};

TEST_F(PartialBlocksTest, EndOfAConversation_IsTakenOver) {
  RunAndRelease(Range(50));
  ExpectBlocks(8, 2, 0);
  BlockTable next = blocks_.MatchPrefix(Range(100), 99);
  EXPECT_EQ(next.num_matched_tokens, 50);
  EXPECT_EQ(next.num_shared, 1);
  EXPECT_EQ(next.num_blocks(), 2);
  EXPECT_TRUE(copies_.empty());
  ExpectBlocks(8, 0, 2);
  blocks_.Release(next);
  ExpectBlocks(9, 1, 0);
}

TEST_F(PartialBlocksTest, OfARunningSequence_IsCopied) {
  BlockTable first = Run(Range(50));
  BlockTable second = blocks_.MatchPrefix(Range(50), 49);
  EXPECT_EQ(second.num_matched_tokens, 49);
  ASSERT_EQ(copies_.size(), 1u);
  EXPECT_EQ(copies_[0], std::pair(first.blocks[1], second.blocks[1]));
  ExpectBlocks(7, 0, 3);
  const BlockTable* const tables[] = {&first, &second};
  EXPECT_TRUE(blocks_.CheckIntegrity(tables));
  blocks_.Commit(second, Range(50), 50);
  EXPECT_TRUE(blocks_.CheckIntegrity(tables));
  blocks_.Release(first);
  ExpectBlocks(8, 0, 2);  // the other has all that it had
  blocks_.Release(second);
  ExpectBlocks(8, 2, 0);
}

TEST_F(PartialBlocksTest, FullBlockThatGoesOnOtherwise_IsCopied) {
  RunAndRelease(Range(96));
  auto fork = Range(96);
  fork[40] = 9999;
  BlockTable table = blocks_.MatchPrefix(fork, 95);
  EXPECT_EQ(table.num_matched_tokens, 40);
  EXPECT_EQ(copies_.size(), 1u);
  blocks_.Release(table);
  ExpectBlocks(7, 3, 0);
  EXPECT_EQ(blocks_.MatchPrefix(Range(32), 31).num_matched_tokens, 31) << "a whole block but its last token";
}

TEST_F(PartialBlocksTest, PartialBlockThatFills_IsSharedLikeAnyOther) {
  BlockTable table = Run(Range(50));
  ASSERT_TRUE(blocks_.Grow(table, 64));
  blocks_.Commit(table, Range(64), 64);
  EXPECT_EQ(table.num_shared, 2);
  EXPECT_EQ(blocks_.PeekPrefix(Range(64), 64), 64);
  blocks_.Release(table);
  ExpectBlocks(8, 2, 0);
}

TEST_F(PartialBlocksTest, NoRoomForACopy_ComputesInstead) {
  BlockTable first = Run(Range(50));
  BlockTable rest;
  ASSERT_TRUE(blocks_.Grow(rest, 8 * kBlockSizeTokens));
  BlockTable second = blocks_.MatchPrefix(Range(50), 49);
  EXPECT_EQ(second.num_matched_tokens, 32);
  EXPECT_TRUE(copies_.empty());
  blocks_.Release(second);
  blocks_.Release(rest);
  blocks_.Release(first);
}

TEST_F(PartialBlocksTest, CopyThatNeedsAnEviction_NeverEvictsItsSource) {
  RunAndRelease(Range(60));  // the oldest: its end would go first
  BlockTable rest;
  ASSERT_TRUE(blocks_.Grow(rest, 8 * kBlockSizeTokens));
  auto fork = Range(60);
  fork[40] = 9999;
  BlockTable table = blocks_.MatchPrefix(fork, 59);
  EXPECT_EQ(table.num_matched_tokens, 32);
  EXPECT_TRUE(copies_.empty());
  blocks_.Release(table);
  blocks_.Release(rest);
}

TEST_F(PartialBlocksTest, LongerOne_StaysBesideAShorter) {
  BlockTable shorter = Run(Range(40));
  RunAndRelease(Range(60));
  EXPECT_EQ(blocks_.MatchPrefix(Range(60), 59).num_matched_tokens, 59);
  blocks_.Release(shorter);
}

TEST_F(PartialBlocksTest, Salts_AreKeptApart) {
  RunAndRelease(Range(50), 1);
  EXPECT_EQ(blocks_.MatchPrefix(Range(50), 49, 2).num_matched_tokens, 0);
}

TEST_F(PartialBlocksTest, ForgetPrefix_TakesWhatATenantHasBehindAPublicBlock) {
  RunAndRelease(Range(50), CacheScope(1, 40));
  RunAndRelease(Range(50), CacheScope(2, 40));
  ExpectBlocks(7, 3, 0);
  EXPECT_TRUE(blocks_.ForgetPrefix(Range(50), CacheScope(1, 40)).empty());
  ExpectBlocks(8, 2, 0);
  BlockTable table = blocks_.MatchPrefix(Range(50), 49, CacheScope(2, 40));
  EXPECT_EQ(table.num_matched_tokens, 49);
  blocks_.Release(table);
}

TEST_F(PartialBlocksTest, Listeners_HearOfFullBlocksOnly) {
  Follower follower;
  blocks_.AddListener(follower);
  RunAndRelease(Range(50));
  EXPECT_EQ(follower.num_known(), 1u);
  blocks_.ClearCache();
  EXPECT_EQ(follower.num_known(), 0u);
  RunAndRelease(Range(50));
  Follower late;
  blocks_.Announce(late);
  EXPECT_EQ(late.num_known(), 1u);
  EXPECT_EQ(blocks_.ForgetPrefix(Range(50)).size(), 1u) << "a partial block behind it does not keep it";
  ExpectBlocks(10, 0, 0);
  blocks_.RemoveListener(follower);
}

TEST_F(BlockManagerTest, PublicPrefix_IsSharedByAllTenants_WhatFollowsIsNot) {
  const CacheScope one(1, 70);
  const CacheScope other(2, 70);
  BlockTable table = blocks_.MatchPrefix(Range(100), 99, one);
  ASSERT_TRUE(blocks_.Grow(table, 100));
  blocks_.Commit(table, Range(100), 100, one);
  blocks_.Release(table);
  EXPECT_EQ(blocks_.PeekPrefix(Range(100), 100, one), 96);
  EXPECT_EQ(blocks_.PeekPrefix(Range(100), 100, other), 64);
  EXPECT_EQ(blocks_.PeekPrefix(Range(100), 100, CacheScope(2)), 0) << "declared public by nobody";
  EXPECT_EQ(BlockKeysOf(Range(100), one)[1], BlockKeysOf(Range(100), other)[1]);
  EXPECT_NE(BlockKeysOf(Range(100), one)[2], BlockKeysOf(Range(100), other)[2]);
}

TEST_F(BlockManagerTest, ForgetPrefix_LeavesWhatIsPublic) {
  RunAndRelease(Range(100), CacheScope(1, 70));
  EXPECT_EQ(blocks_.ForgetPrefix(Range(100), CacheScope(1, 70)).size(), 1u);
  EXPECT_EQ(blocks_.PeekPrefix(Range(100), 100, CacheScope(2, 70)), 64);
}

TEST_F(BlockManagerTest, HoldPrefix_KeepsBlocksFromEviction_AndCountsNoQuery) {
  RunAndRelease(Range(64));
  const int64_t queries = blocks_.stats().prefix_queries;
  BlockTable held = blocks_.HoldPrefix(Range(64), 64);
  EXPECT_EQ(held.num_shared, 2);
  EXPECT_EQ(blocks_.stats().prefix_queries, queries);
  ExpectBlocks(8, 0, 2);
  BlockTable large;
  EXPECT_FALSE(blocks_.Grow(large, 9 * 32));
  EXPECT_EQ(blocks_.KeysOf(held).front(), BlockKey::Of({}, Range(32), 0));
  blocks_.Release(held);
  EXPECT_TRUE(blocks_.Grow(large, 9 * 32));
  blocks_.Release(large);
}

TEST_F(BlockManagerTest, ForgetPrefix_FreesWhatNobodyElseNeeds) {
  RunAndRelease(Range(128));
  auto fork = Range(128);
  fork[70] = 9999;
  RunAndRelease(fork);  // shares two blocks
  ExpectBlocks(4, 6, 0);
  EXPECT_EQ(blocks_.ForgetPrefix(fork).size(), 2u);
  ExpectBlocks(6, 4, 0);
  EXPECT_EQ(blocks_.PeekPrefix(Range(128), 128), 128);
  BlockTable used = blocks_.HoldPrefix(Range(128), 96);
  EXPECT_EQ(blocks_.ForgetPrefix(Range(128)).size(), 1u);
  EXPECT_EQ(blocks_.ForgetPrefix(Range(128)).size(), 0u);
  blocks_.Release(used);
  EXPECT_EQ(blocks_.ForgetPrefix(Range(128)).size(), 3u);
  ExpectBlocks(10, 0, 0);
}

TEST_F(BlockManagerTest, Listener_HearsOfEveryBlockThatEntersAndLeaves) {
  Follower follower;
  blocks_.AddListener(follower);
  RunAndRelease(Range(100));
  RunAndRelease(Range(100));
  EXPECT_EQ(follower.num_known(), 3u);
  RunAndRelease(Range(8 * 32, 1000));  // takes the room of one of them
  EXPECT_EQ(follower.num_known(), 10u);
  blocks_.ForgetPrefix(Range(8 * 32, 1000));
  EXPECT_EQ(follower.num_known(), 2u);
  blocks_.ClearCache();
  EXPECT_EQ(follower.num_known(), 0u);
  EXPECT_EQ(follower.num_removed(BlockRemoval::kEvicted), 1);
  EXPECT_EQ(follower.num_removed(BlockRemoval::kForgotten), 10);
  blocks_.RemoveListener(follower);
}

TEST_F(BlockManagerTest, Announce_TellsOfAllThatIsKnownParentsFirst) {
  RunAndRelease(Range(100));
  RunAndRelease(Range(64, 500));
  class ParentsFirst : public Follower {
   public:
    void OnStored(BlockIndex block, const BlockKey& key, const BlockKey& parent, std::span<const TokenId> tokens) override {
      EXPECT_TRUE(told_.contains(parent));
      told_.insert(key);
      Follower::OnStored(block, key, parent, tokens);
    }

   private:
    std::set<BlockKey> told_ = {BlockKey()};
  };
  ParentsFirst follower;
  blocks_.Announce(follower);
  EXPECT_EQ(follower.num_known(), 5u);
}

}  // namespace
}  // namespace autoglm
