#include "kvcache/radix_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

namespace autoglm {

struct RadixTreePeer {
  using Node = RadixTree::Node;
  static Node& At(RadixTree& tree, BlockIndex block) { return tree.At(block); }
  static void SwapInHeap(RadixTree& tree) { std::swap(tree.heap_.front(), tree.heap_.back()); }
  static void ForgetInHeap(RadixTree& tree) { tree.heap_.pop_back(); }
  static void Miscount(RadixTree& tree) { ++tree.num_unreferenced_; }
  static void ForgetSiblings(RadixTree& tree) { std::ranges::fill(tree.siblings_, RadixTree::kNone); }
  // Puts every node in one chain, as if all hashes were equal.
  static void MakeAllHashesCollide(RadixTree& tree) {
    tree.buckets_.assign(1, RadixTree::kNone);
    tree.siblings_.assign(1, RadixTree::kNone);
  }
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
  while (tree.Evict()) continue;
  for (BlockIndex block = 0; block < 16; ++block) {
    const bool evicted = block == 8 || block == 15 || block == 0 || block == 3;
    EXPECT_EQ(tree.FindChild(RadixTree::kRoot, Tokens(block), 0).has_value(), !evicted) << block;
  }
  EXPECT_TRUE(tree.CheckIntegrity());
}

TEST(RadixTree, Evict_TakesTheLeastRecentlyUsedFirst) {
  RadixTree tree(4);
  for (BlockIndex block = 0; block < 3; ++block) tree.Insert(RadixTree::kRoot, block, Tokens(block), 0);
  for (const BlockIndex block : {0, 1, 2}) tree.Unreference(block);
  tree.Reference(0);
  tree.Unreference(0);
  EXPECT_EQ(tree.Evict(), 1);
  EXPECT_EQ(tree.Evict(), 2);
  EXPECT_EQ(tree.Evict(), 0);
  EXPECT_EQ(tree.Evict(), std::nullopt);
  EXPECT_EQ(tree.num_nodes(), 0);
}

TEST(RadixTree, Evict_NeverTakesAParentBeforeItsChild) {
  RadixTree tree(4);
  tree.Insert(RadixTree::kRoot, 0, Tokens(0), 0);
  tree.Insert(0, 1, Tokens(1), 0);
  tree.Reference(0);  // a second table, on the parent only
  tree.Unreference(0);
  tree.Unreference(1);
  tree.Unreference(0);
  ASSERT_TRUE(tree.CheckIntegrity());
  EXPECT_EQ(tree.Evict(), 1);
  EXPECT_EQ(tree.Evict(), 0);
}

TEST(RadixTree, Evict_LeavesReferencedNodesAlone) {
  RadixTree tree(4);
  tree.Insert(RadixTree::kRoot, 0, Tokens(0), 0);
  EXPECT_EQ(tree.Evict(), std::nullopt);
  EXPECT_TRUE(tree.Contains(0));
}

TEST(RadixTreeDeathTest, MisuseIsABug) {
  RadixTree tree(4);
  tree.Insert(RadixTree::kRoot, 0, Tokens(0), 0);
  EXPECT_DEATH(tree.Insert(RadixTree::kRoot, 0, Tokens(1), 0), "is_node");
  EXPECT_DEATH(tree.Insert(0, 1, std::vector<TokenId>(33), 0), "size");
  EXPECT_DEATH(tree.Insert(0, 1, {}, 0), "empty");
  EXPECT_DEATH(tree.Reference(2), "is_node");
  tree.Unreference(0);
  EXPECT_DEATH(tree.Unreference(0), "num_references");
  EXPECT_DEATH(tree.Insert(0, 1, Tokens(1), 0), "num_references");
}

TEST(RadixTree, Evict_OfTwoUsedTogetherTakesTheCheaperFirst) {
  RadixTree tree(4);
  tree.SetCost([](int64_t, int64_t num_tokens, const BlockKey&) { return static_cast<double>(num_tokens); });
  tree.Insert(RadixTree::kRoot, 0, Tokens(0), 0);
  tree.Insert(RadixTree::kRoot, 1, std::vector<TokenId>(7, 500), 0);
  tree.Unreference(0);
  tree.Unreference(1);
  ASSERT_TRUE(tree.CheckIntegrity());
  EXPECT_EQ(tree.Evict(), 1);
  EXPECT_EQ(tree.Evict(), 0);
}

TEST(RadixTree, Evict_WhatIsDearGoesTooWhenItHasNotBeenUsedForLong) {
  RadixTree tree(16);
  tree.SetCost([](int64_t, int64_t num_tokens, const BlockKey&) { return num_tokens == 32 ? 5.0 : 1.0; });
  tree.Insert(RadixTree::kRoot, 0, Tokens(0), 0);
  tree.Unreference(0);
  int num_cheap = 0;
  for (BlockIndex block = 1; tree.Contains(0); ++num_cheap) {
    tree.Insert(RadixTree::kRoot, block, std::vector<TokenId>(3, num_cheap), 0);
    tree.Unreference(block);
    EXPECT_TRUE(tree.CheckIntegrity());
    block = *tree.Evict();
    ASSERT_LT(num_cheap, 16);
  }
  EXPECT_EQ(num_cheap, 5) << "as many cheap ones as it is worth";
}

TEST(RadixTree, FindBeginning_FindsTheChildWithMostOfTheTokens) {
  RadixTree tree(8);
  tree.Insert(RadixTree::kRoot, 0, Tokens(0), 0);
  std::vector<TokenId> fork = Tokens(100);
  tree.Insert(0, 1, fork, 0);
  fork[10] = 7;
  tree.Insert(0, 2, fork, 0);
  fork[20] = 8;
  const auto found = tree.FindBeginning(0, fork, 0);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->block, 2);
  EXPECT_EQ(found->num_tokens, 20);
  EXPECT_EQ(tree.FindBeginning(0, fork, 0, 2)->num_tokens, 10);
  EXPECT_FALSE(tree.FindBeginning(0, fork, 1)) << "another salt";
  EXPECT_FALSE(tree.FindBeginning(1, fork, 0)) << "another parent";
  EXPECT_FALSE(tree.FindBeginning(0, {}, 0));
}

TEST(RadixTree, PartialNode_GrowsAndGoes) {
  RadixTree tree(8);
  const std::vector<TokenId> tokens = Tokens(100);
  const auto first = [&](size_t count) { return std::span(tokens).first(count); };
  tree.Insert(RadixTree::kRoot, 0, Tokens(0), 0);
  tree.Insert(0, 1, first(3), 0);
  EXPECT_TRUE(tree.IsPartial(1));
  EXPECT_EQ(tree.key(1), BlockKey());
  EXPECT_EQ(tree.FindBeginning(0, first(31), 0)->num_tokens, 3);
  tree.Extend(1, first(20));
  EXPECT_EQ(tree.FindBeginning(0, first(31), 0)->num_tokens, 20);
  EXPECT_TRUE(tree.CheckIntegrity());
  tree.Withdraw(1);
  EXPECT_FALSE(tree.FindBeginning(0, first(31), 0));
  EXPECT_TRUE(tree.CheckIntegrity());
  tree.Insert(0, 1, first(32), 0);
  EXPECT_EQ(tree.FindChild(0, first(32), 0), 1);
  EXPECT_EQ(tree.FindBeginning(0, first(31), 0)->num_tokens, 31) << "a full node begins like a partial one";
}

TEST(RadixTree, RemovePartialChildren_LeavesFullAndReferencedOnes) {
  RadixTree tree(8);
  tree.Insert(RadixTree::kRoot, 0, Tokens(0), 0);
  tree.Insert(0, 1, Tokens(100), 0);
  tree.Insert(0, 2, std::vector<TokenId>(4, 9), 0);
  tree.Insert(0, 3, std::vector<TokenId>(5, 9), 0);
  tree.Unreference(1);
  tree.Unreference(2);
  EXPECT_EQ(tree.RemovePartialChildren(0, 0), std::vector<BlockIndex>{2});
  EXPECT_TRUE(tree.Contains(1));
  EXPECT_TRUE(tree.Contains(3));
  EXPECT_TRUE(tree.CheckIntegrity());
}

// A tree with a chain 0 - 1 and a node 3 that nobody references, and a node 2 that is referenced once.
RadixTree SmallTree() {
  RadixTree tree(4);
  tree.Insert(RadixTree::kRoot, 0, Tokens(0), 0);
  tree.Insert(0, 1, Tokens(1), 0);
  tree.Insert(RadixTree::kRoot, 2, Tokens(2), 0);
  tree.Insert(RadixTree::kRoot, 3, Tokens(3), 0);
  tree.Unreference(1);
  tree.Unreference(0);
  tree.Unreference(3);
  return tree;
}

TEST(RadixTree, Prefixes_AreTheEndsOfPaths_TheLastUsedFirst) {
  RadixTree tree = SmallTree();
  tree.SetTime(100);
  const auto prefixes = tree.Prefixes(10);
  ASSERT_FALSE(prefixes.empty());
  int64_t num_users = 0;
  for (const RadixTree::Prefix& prefix : prefixes) {
    EXPECT_GT(prefix.num_tokens, 0);
    EXPECT_GE(prefix.num_own_blocks, 1);
    num_users += prefix.num_users;
    EXPECT_EQ(prefix.unused_seconds, prefix.num_users > 0 ? 0 : 100);
  }
  EXPECT_GT(num_users, 0);
  EXPECT_EQ(tree.Prefixes(1).size(), 1U);
  EXPECT_GT(tree.Prefixes(1).front().num_users, 0) << "what is in use comes first";
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
      {"unreferenced and not in the heap", [](RadixTree& tree) { Peer::At(tree, 2).num_references = 0; }},
      {"referenced and in the heap", [](RadixTree& tree) { ++Peer::At(tree, 1).num_references; }},
      {"heap order", [](RadixTree& tree) { Peer::SwapInHeap(tree); }},
      {"heap incomplete", [](RadixTree& tree) { Peer::ForgetInHeap(tree); }},
      {"count", [](RadixTree& tree) { Peer::Miscount(tree); }},
      {"siblings", [](RadixTree& tree) { Peer::ForgetSiblings(tree); }},
      {"depth", [](RadixTree& tree) { ++Peer::At(tree, 1).depth; }},
      {"a parent that is partial", [](RadixTree& tree) { Peer::At(tree, 0).num_tokens = 3; }},
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
