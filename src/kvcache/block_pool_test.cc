#include "kvcache/block_pool.h"

#include <gtest/gtest.h>

#include <set>

namespace autoglm {

struct BlockPoolPeer {
  static void ListTwice(BlockPool& pool) { pool.free_.push_back(pool.free_.back()); }
  static void Lose(BlockPool& pool) { pool.free_.pop_back(); }
};

namespace {

TEST(BlockPool, Take_HandsOutEveryBlockOnceAndThenNothing) {
  BlockPool pool(5);
  std::set<BlockIndex> taken;
  while (const auto block = pool.Take()) taken.insert(*block);
  EXPECT_EQ(taken, (std::set<BlockIndex>{0, 1, 2, 3, 4}));
  EXPECT_EQ(pool.num_free(), 0);
  EXPECT_TRUE(pool.CheckIntegrity());
}

TEST(BlockPool, GiveBack_MakesTheBlockTheNextOneTaken) {
  BlockPool pool(3);
  const BlockIndex first = pool.Take().value();
  ASSERT_TRUE(pool.Take().has_value());
  pool.GiveBack(first);
  EXPECT_TRUE(pool.IsFree(first));
  EXPECT_EQ(pool.Take(), first);
}

TEST(BlockPoolDeathTest, GiveBack_OfAFreeOrUnknownBlockIsABug) {
  BlockPool pool(2);
  EXPECT_DEATH(pool.GiveBack(0), "IsFree");
  EXPECT_DEATH(pool.GiveBack(2), "num_blocks");
  EXPECT_DEATH(BlockPool(0), "num_blocks > 0");
}

TEST(BlockPool, CheckIntegrity_FindsBlocksListedTwiceOrLost) {
  BlockPool twice(3);
  BlockPoolPeer::ListTwice(twice);
  EXPECT_FALSE(twice.CheckIntegrity());
  BlockPool lost(3);
  BlockPoolPeer::Lose(lost);
  EXPECT_FALSE(lost.CheckIntegrity());
}

}  // namespace
}  // namespace autoglm
