#include "kvcache/block_key.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <vector>

namespace autoglm {
namespace {

std::vector<TokenId> Tokens(TokenId first) {
  std::vector<TokenId> tokens(32);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

TEST(BlockKey, TokensParentAndSaltAllCount) {
  const BlockKey first = BlockKey::Of({}, Tokens(1), 0);
  EXPECT_EQ(first, BlockKey::Of({}, Tokens(1), 0));
  const std::set<BlockKey> keys = {first,
                                   BlockKey::Of({}, Tokens(2), 0),
                                   BlockKey::Of({}, Tokens(1), 7),
                                   BlockKey::Of(first, Tokens(1), 0),
                                   BlockKey::Of(BlockKey{0, 1}, Tokens(1), 0),
                                   BlockKey::Of(BlockKey{1, 0}, Tokens(1), 0)};
  EXPECT_EQ(keys.size(), 6u);
}

// Files of earlier runs carry these names.
TEST(BlockKey, StaysAsItIs) { EXPECT_EQ(BlockKey::Of({}, Tokens(1), 0).Hex(), "db4a2d3a0ef8b18b6df18fea9d7e58a3"); }

TEST(BlockKey, HexComesBackAndNothingElseDoes) {
  const BlockKey key{.high = 0x0123456789abcdef, .low = 7};
  EXPECT_EQ(BlockKey::FromHex(key.Hex()), key);
  for (const char* other : {"", "07", "0123456789abcdef000000000000000g", "0123456789ABCDEF0000000000000007",
                            "0123456789abcdef00000000000000070", "-123456789abcdef0000000000000007"}) {
    EXPECT_FALSE(BlockKey::FromHex(other)) << other;
  }
}

}  // namespace
}  // namespace autoglm
