#include "kvcache/radix_tree.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"

namespace autoglm {
namespace {

// A hash only finds candidates: FindChild compares parent, salt and tokens before it believes one.
uint64_t HashOf(BlockIndex parent, std::span<const TokenId> tokens, uint64_t salt) {
  const uint64_t seed = salt + 0x9e3779b97f4a7c15ULL * static_cast<uint64_t>(int64_t{parent} + 2);
  return XXH3_64bits_withSeed(tokens.data(), tokens.size_bytes(), seed);
}

tl::unexpected<Error> Broken(std::string what) { return Fail(ErrorCode::kInternal, "radix tree: " + std::move(what)); }

}  // namespace

RadixTree::RadixTree(int64_t num_blocks)
    : nodes_(static_cast<size_t>(num_blocks)), buckets_(std::bit_ceil(2 * static_cast<size_t>(num_blocks)), kNone) {}

std::optional<BlockIndex> RadixTree::FindChild(BlockIndex parent, std::span<const TokenId> tokens, uint64_t salt) const {
  const uint64_t hash = HashOf(parent, tokens, salt);
  for (BlockIndex block = buckets_[BucketOf(hash)]; block != kNone; block = At(block).next_in_bucket) {
    const Node& node = At(block);
    if (node.hash == hash && node.parent == parent && node.salt == salt && std::ranges::equal(node.tokens, tokens)) return block;
  }
  return std::nullopt;
}

void RadixTree::Insert(BlockIndex parent, BlockIndex block, std::span<const TokenId> tokens, uint64_t salt) {
  Node& node = At(block);
  AUTOGLM_CHECK(!node.is_node && tokens.size() == node.tokens.size());
  node = {.is_node = true,
          .parent = parent,
          .num_references = 1,
          .salt = salt,
          .hash = HashOf(parent, tokens, salt),
          .key = BlockKey::Of(key(parent), tokens, salt)};
  std::ranges::copy(tokens, node.tokens.begin());
  BlockIndex& head = buckets_[BucketOf(node.hash)];
  node.next_in_bucket = std::exchange(head, block);
  if (parent != kRoot) {
    AUTOGLM_CHECK(At(parent).num_references > 0);
    ++At(parent).num_children;
  }
  ++num_nodes_;
}

void RadixTree::Reference(BlockIndex block) {
  Node& node = At(block);
  AUTOGLM_CHECK(node.is_node);
  if (node.num_references++ == 0) Unlink(block);
}

void RadixTree::Unreference(BlockIndex block) {
  Node& node = At(block);
  AUTOGLM_CHECK(node.is_node && node.num_references > 0);
  if (--node.num_references == 0) AppendNewest(block);
}

std::optional<BlockIndex> RadixTree::EvictOldest() {
  if (oldest_ == kNone) return std::nullopt;
  const BlockIndex block = oldest_;
  AUTOGLM_CHECK(Remove(block));
  return block;
}

bool RadixTree::Remove(BlockIndex block) {
  if (At(block).num_references > 0 || At(block).num_children > 0) return false;
  Unlink(block);
  RemoveFromBucket(block);
  if (const BlockIndex parent = At(block).parent; parent != kRoot) --At(parent).num_children;
  At(block).is_node = false;
  --num_nodes_;
  return true;
}

void RadixTree::AppendNewest(BlockIndex block) {
  Node& node = At(block);
  node.older = newest_;
  node.newer = kNone;
  (newest_ == kNone ? oldest_ : At(newest_).newer) = block;
  newest_ = block;
  ++num_unreferenced_;
}

void RadixTree::Unlink(BlockIndex block) {
  const Node& node = At(block);
  (node.older == kNone ? oldest_ : At(node.older).newer) = node.newer;
  (node.newer == kNone ? newest_ : At(node.newer).older) = node.older;
  --num_unreferenced_;
}

void RadixTree::RemoveFromBucket(BlockIndex block) {
  BlockIndex* link = &buckets_[BucketOf(At(block).hash)];
  while (*link != block) link = &At(*link).next_in_bucket;
  *link = At(block).next_in_bucket;
}

Status RadixTree::CheckIntegrity() const {
  AUTOGLM_TRY_VOID(CheckNodes());
  return CheckList();
}

Status RadixTree::CheckNodes() const {
  std::vector<int64_t> num_children(nodes_.size(), 0);
  std::vector<int64_t> child_references(nodes_.size(), 0);
  int64_t num_nodes = 0;
  for (BlockIndex block = 0; block < std::ssize(nodes_); ++block) {
    const Node& node = At(block);
    if (!node.is_node) continue;
    ++num_nodes;
    if (node.num_references < 0) return Broken(fmt::format("block {} has {} references", block, node.num_references));
    if (FindChild(node.parent, node.tokens, node.salt) != block) return Broken(fmt::format("block {} cannot be found", block));
    if (node.key != BlockKey::Of(key(node.parent), node.tokens, node.salt))
      return Broken(fmt::format("block {} is misnamed", block));
    if (node.parent == kRoot) continue;
    if (!Contains(node.parent)) return Broken(fmt::format("block {} has lost its parent {}", block, node.parent));
    if (At(node.parent).salt != node.salt) return Broken(fmt::format("block {} and its parent differ in salt", block));
    ++num_children[static_cast<size_t>(node.parent)];
    child_references[static_cast<size_t>(node.parent)] += node.num_references;
  }
  if (num_nodes != num_nodes_) return Broken(fmt::format("{} nodes, counted as {}", num_nodes, num_nodes_));
  for (BlockIndex block = 0; block < std::ssize(nodes_); ++block) {
    const Node& node = At(block);
    if (!node.is_node) continue;
    const int64_t children = num_children[static_cast<size_t>(block)];
    const int64_t references = child_references[static_cast<size_t>(block)];
    if (children != node.num_children) {
      return Broken(fmt::format("block {} has {} children, counted as {}", block, children, node.num_children));
    }
    // Whoever references a child came through its parent, and through one child only.
    if (references > node.num_references) {
      return Broken(fmt::format("block {} has {} references, its children {}", block, node.num_references, references));
    }
  }
  return {};
}

Status RadixTree::CheckList() const {
  std::vector<int64_t> position(nodes_.size(), -1);
  int64_t length = 0;
  BlockIndex older = kNone;
  for (BlockIndex block = oldest_; block != kNone; older = block, block = At(block).newer) {
    const Node& node = At(block);
    if (position[static_cast<size_t>(block)] >= 0) return Broken("the list of unreferenced nodes runs in a circle");
    if (node.older != older) return Broken(fmt::format("block {} names the wrong neighbour in the list", block));
    if (!node.is_node || node.num_references != 0) return Broken(fmt::format("block {} does not belong in the list", block));
    position[static_cast<size_t>(block)] = length++;
  }
  if (newest_ != older) return Broken("the end of the list of unreferenced nodes is wrong");
  if (length != num_unreferenced_) return Broken(fmt::format("{} unreferenced nodes, counted as {}", length, num_unreferenced_));
  for (BlockIndex block = 0; block < std::ssize(nodes_); ++block) {
    const Node& node = At(block);
    if (!node.is_node || node.num_references != 0) continue;
    if (position[static_cast<size_t>(block)] < 0) return Broken(fmt::format("block {} is missing in the list", block));
    if (node.parent == kRoot || At(node.parent).num_references != 0) continue;
    if (position[static_cast<size_t>(block)] > position[static_cast<size_t>(node.parent)]) {
      return Broken(fmt::format("block {} would be evicted after its parent {}", block, node.parent));
    }
  }
  return {};
}

}  // namespace autoglm
