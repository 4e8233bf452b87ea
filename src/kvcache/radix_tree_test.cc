#include "kvcache/radix_tree.h"

#include <gtest/gtest.h>

#include <functional>
#include <numeric>
#include <vector>

namespace autoglm {

struct RadixTreePeer {
  using Node = RadixTree::Node;
  static Node& At(RadixTree& tree, BlockIndex block) { return tree.At(block); }
  static void SwapListEnds(RadixTree& tree) { std::swap(tree.oldest_, tree.newest_); }
  static void Miscount(RadixTree& tree) { ++tree.num_unreferenced_; }
  // Moves the oldest node to the newest place, as if it had just been used without its parent.
  static void MoveOldestToEnd(RadixTree& tree) {
    const BlockIndex oldest = tree.oldest_;
    tree.Unlink(oldest);
    tree.AppendNewest(oldest);
  }
  // Puts every node in one chain, as if all hashes were equal.
  static void MakeAllHashesCollide(RadixTree& tree) { tree.buckets_.assign(1, RadixTree::kNone); }
};

namespace {

std::vector<TokenId> Tokens(TokenId first) {
  std::vector<TokenId> tokens(kBlockSizeTokens);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

TEST(RadixTree, FindChild_ComparesParentTokensAndSalt) {
  RadixTree tree(8);
  tree.Insert(RadixTree::kRoot, 3, Tokens(0), 7);
  tree.Insert(3, 5, Tokens(100), 7);
  EXPECT_EQ(tree.FindChild(RadixTree::kRoot, Tokens(0), 7), 3);
  EXPECT_EQ(tree.FindChild(3, Tokens(100), 7), 5);
  EXPECT_EQ(tree.FindChild(RadixTree::kRoot, Tokens(0), 8), std::nullopt);
  EXPECT_EQ(tree.FindChild(RadixTree::kRoot, Tokens(100), 7), std::nullopt);
  EXPECT_EQ(tree.FindChild(5, Tokens(100), 7), std::nullopt);
  EXPECT_TRUE(tree.CheckIntegrity());
}

TEST(RadixTree, FindChild_IsRightWhenAllBlocksShareOneBucket) {
  RadixTree tree(16);
  RadixTreePeer::MakeAllHashesCollide(tree);
  for (BlockIndex block = 0; block < 16; ++block) tree.Insert(RadixTree::kRoot, block, Tokens(block), 0);
  for (BlockIndex block = 0; block < 16; ++block) EXPECT_EQ(tree.FindChild(RadixTree::kRoot, Tokens(block), 0), block);
  for (const BlockIndex block : {8, 15, 0, 3}) tree.Unreference(block);
  while (tree.EvictOldest()) continue;
  for (BlockIndex block = 0; block < 16; ++block) {
    const bool evicted = block == 8 || block == 15 || block == 0 || block == 3;
    EXPECT_EQ(tree.FindChild(RadixTree::kRoot, Tokens(block), 0).has_value(), !evicted) << block;
  }
  EXPECT_TRUE(tree.CheckIntegrity());
}

TEST(RadixTree, EvictOldest_TakesTheLeastRecentlyUsedFirst) {
  RadixTree tree(4);
  for (BlockIndex block = 0; block < 3; ++block) tree.Insert(RadixTree::kRoot, block, Tokens(block), 0);
  for (const BlockIndex block : {0, 1, 2}) tree.Unreference(block);
  tree.Reference(0);
  tree.Unreference(0);
  EXPECT_EQ(tree.EvictOldest(), 1);
  EXPECT_EQ(tree.EvictOldest(), 2);
  EXPECT_EQ(tree.EvictOldest(), 0);
  EXPECT_EQ(tree.EvictOldest(), std::nullopt);
  EXPECT_EQ(tree.num_nodes(), 0);
}

TEST(RadixTree, EvictOldest_NeverTakesAParentBeforeItsChild) {
  RadixTree tree(4);
  tree.Insert(RadixTree::kRoot, 0, Tokens(0), 0);
  tree.Insert(0, 1, Tokens(1), 0);
  tree.Reference(0);  // a second table, on the parent only
  tree.Unreference(0);
  tree.Unreference(1);
  tree.Unreference(0);
  ASSERT_TRUE(tree.CheckIntegrity());
  EXPECT_EQ(tree.EvictOldest(), 1);
  EXPECT_EQ(tree.EvictOldest(), 0);
}

TEST(RadixTree, EvictOldest_LeavesReferencedNodesAlone) {
  RadixTree tree(4);
  tree.Insert(RadixTree::kRoot, 0, Tokens(0), 0);
  EXPECT_EQ(tree.EvictOldest(), std::nullopt);
  EXPECT_TRUE(tree.Contains(0));
}

TEST(RadixTreeDeathTest, MisuseIsABug) {
  RadixTree tree(4);
  tree.Insert(RadixTree::kRoot, 0, Tokens(0), 0);
  EXPECT_DEATH(tree.Insert(RadixTree::kRoot, 0, Tokens(1), 0), "is_node");
  EXPECT_DEATH(tree.Insert(0, 1, std::vector<TokenId>(31), 0), "size");
  EXPECT_DEATH(tree.Reference(2), "is_node");
  tree.Unreference(0);
  EXPECT_DEATH(tree.Unreference(0), "num_references");
  EXPECT_DEATH(tree.Insert(0, 1, Tokens(1), 0), "num_references");
}

// A tree with a chain 0 - 1 that nobody references and a node 2 that is referenced once.
RadixTree SmallTree() {
  RadixTree tree(4);
  tree.Insert(RadixTree::kRoot, 0, Tokens(0), 0);
  tree.Insert(0, 1, Tokens(1), 0);
  tree.Insert(RadixTree::kRoot, 2, Tokens(2), 0);
  tree.Unreference(1);
  tree.Unreference(0);
  return tree;
}

TEST(RadixTree, CheckIntegrity_FindsEveryKindOfDamage) {
  using Peer = RadixTreePeer;
  ASSERT_TRUE(SmallTree().CheckIntegrity());
  const std::vector<std::pair<const char*, std::function<void(RadixTree&)>>> damages = {
      {"tokens changed", [](RadixTree& tree) { Peer::At(tree, 1).tokens[5] = 77; }},
      {"parent gone", [](RadixTree& tree) { Peer::At(tree, 0).is_node = false; }},
      {"child count", [](RadixTree& tree) { ++Peer::At(tree, 0).num_children; }},
      {"child referenced without its parent", [](RadixTree& tree) { tree.Reference(1); }},
      {"negative references", [](RadixTree& tree) { Peer::At(tree, 2).num_references = -1; }},
      {"unreferenced and not in the list", [](RadixTree& tree) { Peer::At(tree, 2).num_references = 0; }},
      {"referenced and in the list", [](RadixTree& tree) { ++Peer::At(tree, 0).num_references; }},
      {"list ends", [](RadixTree& tree) { Peer::SwapListEnds(tree); }},
      {"list count", [](RadixTree& tree) { Peer::Miscount(tree); }},
      {"parent before child in the list", [](RadixTree& tree) { Peer::MoveOldestToEnd(tree); }},
      {"circle in the list", [](RadixTree& tree) { Peer::At(tree, 0).newer = 1; }},
      {"salt", [](RadixTree& tree) { Peer::At(tree, 0).salt = 9; }},
  };
  for (const auto& [name, damage] : damages) {
    RadixTree tree = SmallTree();
    damage(tree);
    EXPECT_FALSE(tree.CheckIntegrity()) << name;
  }
}

}  // namespace
}  // namespace autoglm
