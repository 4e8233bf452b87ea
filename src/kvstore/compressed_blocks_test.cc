#include "kvstore/compressed_blocks.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

constexpr int64_t kBlockBytes = 4096;

BlockKey Key(uint64_t number) { return {.high = 1, .low = number}; }

// Cannot be made smaller than its rest, half of its bytes.
std::vector<std::byte> Block(int value) { return std::vector<std::byte>(kBlockBytes, static_cast<std::byte>(value)); }

class CompressedBlocksTest : public testing::Test {
 protected:
  // Room for three.
  CompressedBlocks blocks_{kBlockBytes / 2 * 3 + 500, kBlockBytes, 2};
};

TEST_F(CompressedBlocksTest, WhatWasKept_ComesBackOnce) {
  blocks_.Keep(Key(1), Block(17));
  EXPECT_TRUE(blocks_.Contains(Key(1)));
  EXPECT_LT(blocks_.stats().stored_bytes, kBlockBytes);
  std::vector<std::byte> read(kBlockBytes);
  EXPECT_TRUE(blocks_.Take(Key(1), read));
  EXPECT_EQ(read, Block(17));
  EXPECT_FALSE(blocks_.Take(Key(1), read));
  EXPECT_EQ(blocks_.stats().stored_bytes, 0);
  EXPECT_EQ(blocks_.stats().num_read, 1);
}

TEST_F(CompressedBlocksTest, TheOldestGoesFirst_AndTheBoundIsKept) {
  for (int i = 1; i <= 5; ++i) blocks_.Keep(Key(static_cast<uint64_t>(i)), Block(i));
  EXPECT_EQ(blocks_.stats().num_stored, 3);
  EXPECT_EQ(blocks_.stats().num_dropped, 2);
  EXPECT_FALSE(blocks_.Contains(Key(2)));
  EXPECT_TRUE(blocks_.Contains(Key(3)));
  EXPECT_LE(blocks_.stats().stored_bytes, kBlockBytes / 2 * 3 + 500);
}

TEST_F(CompressedBlocksTest, SameKeyAgain_ReplacesIt) {
  blocks_.Keep(Key(1), Block(1));
  blocks_.Keep(Key(1), Block(2));
  EXPECT_EQ(blocks_.stats().num_stored, 1);
  std::vector<std::byte> read(kBlockBytes);
  EXPECT_TRUE(blocks_.Take(Key(1), read));
  EXPECT_EQ(read, Block(2));
}

TEST_F(CompressedBlocksTest, Erased_IsGone) {
  blocks_.Keep(Key(1), Block(1));
  blocks_.Erase(Key(1));
  blocks_.Erase(Key(2));
  EXPECT_FALSE(blocks_.Contains(Key(1)));
  EXPECT_EQ(blocks_.stats().stored_bytes, 0);
}

TEST(CompressedBlocks, BlockLargerThanAllRoom_IsDropped) {
  CompressedBlocks blocks(100, kBlockBytes, 2);
  blocks.Keep(Key(1), Block(1));
  EXPECT_FALSE(blocks.Contains(Key(1)));
  EXPECT_EQ(blocks.stats().num_dropped, 1);
}

}  // namespace
}  // namespace autoglm
