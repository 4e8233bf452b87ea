#include "kvcache/radix_tree.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"

namespace autoglm {
namespace {

// Of nodes that begin with the same token behind the same parent, as the first blocks of all chats do.
constexpr int kMostCandidates = 64;

uint64_t SeedOf(BlockIndex parent, uint64_t salt) {
  return salt + 0x9e3779b97f4a7c15ULL * static_cast<uint64_t>(int64_t{parent} + 2);
}

// A hash only finds candidates: FindChild compares parent, salt and tokens before it believes one.
uint64_t HashOf(BlockIndex parent, std::span<const TokenId> tokens, uint64_t salt) {
  return XXH3_64bits_withSeed(tokens.data(), tokens.size_bytes(), SeedOf(parent, salt));
}

tl::unexpected<Error> Broken(std::string what) { return Fail(ErrorCode::kInternal, "radix tree: " + std::move(what)); }

}  // namespace

RadixTree::RadixTree(int64_t num_blocks)
    : nodes_(static_cast<size_t>(num_blocks)),
      buckets_(std::bit_ceil(2 * static_cast<size_t>(num_blocks)), kNone),
      siblings_(buckets_.size(), kNone) {
  heap_.reserve(nodes_.size());
}

std::optional<BlockIndex> RadixTree::FindChild(BlockIndex parent, std::span<const TokenId> tokens, uint64_t salt) const {
  const uint64_t hash = HashOf(parent, tokens, salt);
  for (BlockIndex block = buckets_[BucketOf(hash)]; block != kNone; block = At(block).next_in_bucket) {
    const Node& node = At(block);
    if (node.hash == hash && node.parent == parent && node.salt == salt && std::ranges::equal(node.tokens, tokens)) return block;
  }
  return std::nullopt;
}

std::optional<RadixTree::Beginning> RadixTree::FindBeginning(BlockIndex parent, std::span<const TokenId> tokens, uint64_t salt,
                                                             BlockIndex except) const {
  if (tokens.empty()) return std::nullopt;
  Beginning best;
  BlockIndex candidate = SiblingsOf(parent, tokens.front(), salt);
  for (int i = 0; i < kMostCandidates && candidate != kNone; ++i, candidate = At(candidate).next_sibling) {
    const Node& node = At(candidate);
    if (candidate == except || node.parent != parent || node.salt != salt) continue;
    const auto held = this->tokens(candidate);
    const int64_t num_equal = std::ranges::mismatch(held, tokens).in1 - held.begin();
    if (num_equal > best.num_tokens) best = {.block = candidate, .num_tokens = num_equal};
  }
  if (best.num_tokens == 0) return std::nullopt;
  return best;
}

void RadixTree::Insert(BlockIndex parent, BlockIndex block, std::span<const TokenId> tokens, uint64_t salt) {
  Node& node = At(block);
  AUTOGLM_CHECK(!node.is_node && !tokens.empty() && tokens.size() <= node.tokens.size());
  node = {.is_node = true,
          .parent = parent,
          .num_tokens = static_cast<int32_t>(tokens.size()),
          .num_references = 1,
          .depth = parent == kRoot ? 0 : At(parent).depth + 1,
          .salt = salt};
  std::ranges::copy(tokens, node.tokens.begin());
  if (!IsPartial(block)) {
    node.hash = HashOf(parent, tokens, salt);
    node.key = BlockKey::Of(key(parent), tokens, salt);
    LinkBucket(block);
  }
  LinkSiblings(block);
  if (parent != kRoot) {
    AUTOGLM_CHECK(At(parent).num_references > 0 && !IsPartial(parent));
    ++At(parent).num_children;
  }
  ++num_nodes_;
}

void RadixTree::Extend(BlockIndex block, std::span<const TokenId> tokens) {
  Node& node = At(block);
  AUTOGLM_CHECK(IsPartial(block) && std::ssize(tokens) >= node.num_tokens && std::ssize(tokens) < kBlockSizeTokens);
  std::ranges::copy(tokens, node.tokens.begin());
  node.num_tokens = static_cast<int32_t>(tokens.size());
}

void RadixTree::Reference(BlockIndex block) {
  Node& node = At(block);
  AUTOGLM_CHECK(node.is_node);
  if (node.num_references++ > 0) return;
  --num_unreferenced_;
  if (node.num_children == 0) PopHeap(block);
}

void RadixTree::Unreference(BlockIndex block) {
  Node& node = At(block);
  AUTOGLM_CHECK(node.is_node && node.num_references > 0);
  if (--node.num_references > 0) return;
  const double cost = cost_ ? cost_(node.depth * kBlockSizeTokens, node.num_tokens, node.key) : 0;
  node.worth = worth_evicted_ + cost;
  node.used_at = ++num_uses_;
  node.used_second = seconds_;
  ++num_unreferenced_;
  if (node.num_children == 0) PushHeap(block);
}

std::optional<BlockIndex> RadixTree::Evict() {
  if (heap_.empty()) return std::nullopt;
  const BlockIndex block = heap_.front();
  worth_evicted_ = std::max(worth_evicted_, At(block).worth);
  AUTOGLM_CHECK(Remove(block));
  return block;
}

bool RadixTree::Remove(BlockIndex block) {
  const Node& node = At(block);
  if (node.num_references > 0 || node.num_children > 0) return false;
  PopHeap(block);
  --num_unreferenced_;
  TakeOut(block);
  return true;
}

void RadixTree::Withdraw(BlockIndex block) {
  AUTOGLM_CHECK(IsPartial(block) && At(block).num_references == 1);
  TakeOut(block);
}

std::vector<BlockIndex> RadixTree::RemovePartialChildren(BlockIndex parent, uint64_t salt) {
  std::vector<BlockIndex> removed;
  if (parent != kRoot && At(parent).num_children == 0) return removed;
  for (BlockIndex block = 0; block < std::ssize(nodes_); ++block) {
    if (IsPartial(block) && At(block).parent == parent && At(block).salt == salt && Remove(block)) removed.push_back(block);
  }
  return removed;
}

void RadixTree::TakeOut(BlockIndex block) {
  if (!IsPartial(block)) UnlinkBucket(block);
  UnlinkSiblings(block);
  Node& node = At(block);
  node.is_node = false;
  --num_nodes_;
  if (node.parent == kRoot) return;
  Node& parent = At(node.parent);
  if (--parent.num_children == 0 && parent.num_references == 0) PushHeap(node.parent);
}

// --- hash tables

void RadixTree::LinkBucket(BlockIndex block) {
  At(block).next_in_bucket = std::exchange(buckets_[BucketOf(At(block).hash)], block);
}

void RadixTree::UnlinkBucket(BlockIndex block) {
  BlockIndex* link = &buckets_[BucketOf(At(block).hash)];
  while (*link != block) link = &At(*link).next_in_bucket;
  *link = At(block).next_in_bucket;
}

BlockIndex& RadixTree::SiblingsOf(BlockIndex parent, TokenId first, uint64_t salt) {
  return siblings_[BucketOf(HashOf(parent, std::span(&first, 1), salt))];
}

BlockIndex RadixTree::SiblingsOf(BlockIndex parent, TokenId first, uint64_t salt) const {
  return siblings_[BucketOf(HashOf(parent, std::span(&first, 1), salt))];
}

void RadixTree::LinkSiblings(BlockIndex block) {
  Node& node = At(block);
  BlockIndex& head = SiblingsOf(node.parent, node.tokens.front(), node.salt);
  node.previous_sibling = kNone;
  node.next_sibling = std::exchange(head, block);
  if (node.next_sibling != kNone) At(node.next_sibling).previous_sibling = block;
}

void RadixTree::UnlinkSiblings(BlockIndex block) {
  const Node& node = At(block);
  if (node.next_sibling != kNone) At(node.next_sibling).previous_sibling = node.previous_sibling;
  if (node.previous_sibling != kNone) {
    At(node.previous_sibling).next_sibling = node.next_sibling;
  } else {
    SiblingsOf(node.parent, node.tokens.front(), node.salt) = node.next_sibling;
  }
}

// --- the heap

bool RadixTree::GoesBefore(BlockIndex a, BlockIndex b) const {
  return std::pair(At(a).worth, At(a).used_at) < std::pair(At(b).worth, At(b).used_at);
}

void RadixTree::PlaceInHeap(int64_t position, BlockIndex block) {
  heap_[static_cast<size_t>(position)] = block;
  At(block).heap_position = static_cast<int32_t>(position);
}

void RadixTree::PushHeap(BlockIndex block) {
  heap_.push_back(block);
  PlaceInHeap(std::ssize(heap_) - 1, block);
  Sift(std::ssize(heap_) - 1);
}

void RadixTree::PopHeap(BlockIndex block) {
  const int64_t position = std::exchange(At(block).heap_position, kNone);
  AUTOGLM_CHECK(position >= 0);
  const BlockIndex last = heap_.back();
  heap_.pop_back();
  if (last == block) return;
  PlaceInHeap(position, last);
  Sift(position);
}

// Brings the node at a position to where it belongs: up, or else down.
void RadixTree::Sift(int64_t position) {
  const BlockIndex block = heap_[static_cast<size_t>(position)];
  const auto at = [this](int64_t i) { return heap_[static_cast<size_t>(i)]; };
  for (int64_t above = (position - 1) / 2; position > 0 && GoesBefore(block, at(above)); above = (position - 1) / 2) {
    PlaceInHeap(position, at(above));
    position = above;
  }
  while (true) {
    int64_t below = 2 * position + 1;
    if (below >= std::ssize(heap_)) break;
    if (below + 1 < std::ssize(heap_) && GoesBefore(at(below + 1), at(below))) ++below;
    if (!GoesBefore(at(below), block)) break;
    PlaceInHeap(position, at(below));
    position = below;
  }
  PlaceInHeap(position, block);
}

// --- checks

Status RadixTree::CheckIntegrity() const {
  AUTOGLM_TRY_VOID(CheckNodes());
  return CheckHeap();
}

Status RadixTree::CheckNodes() const {
  std::vector<int64_t> num_children(nodes_.size(), 0);
  std::vector<int64_t> child_references(nodes_.size(), 0);
  int64_t num_nodes = 0;
  for (BlockIndex block = 0; block < std::ssize(nodes_); ++block) {
    const Node& node = At(block);
    if (!node.is_node) continue;
    ++num_nodes;
    AUTOGLM_TRY_VOID(CheckLinks(block));
    if (node.parent == kRoot) continue;
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

Status RadixTree::CheckLinks(BlockIndex block) const {
  const Node& node = At(block);
  if (node.num_references < 0) return Broken(fmt::format("block {} has {} references", block, node.num_references));
  BlockIndex sibling = SiblingsOf(node.parent, node.tokens.front(), node.salt);
  while (sibling != block && sibling != kNone) sibling = At(sibling).next_sibling;
  if (sibling == kNone) return Broken(fmt::format("block {} is not among its siblings", block));
  if (IsPartial(block)) {
    if (node.num_tokens < 1 || node.num_children > 0) return Broken(fmt::format("block {} is no partial node", block));
  } else {
    if (FindChild(node.parent, node.tokens, node.salt) != block) return Broken(fmt::format("block {} cannot be found", block));
    if (node.key != BlockKey::Of(key(node.parent), node.tokens, node.salt)) {
      return Broken(fmt::format("block {} is misnamed", block));
    }
  }
  const int32_t depth = node.parent == kRoot ? 0 : At(node.parent).depth + 1;
  if (node.depth != depth) return Broken(fmt::format("block {} has depth {}, not {}", block, node.depth, depth));
  if (node.parent != kRoot && (!Contains(node.parent) || IsPartial(node.parent))) {
    return Broken(fmt::format("block {} has lost its parent {}", block, node.parent));
  }
  return {};
}

Status RadixTree::CheckHeap() const {
  for (int64_t i = 0; i < std::ssize(heap_); ++i) {
    const BlockIndex block = heap_[static_cast<size_t>(i)];
    if (At(block).heap_position != i) return Broken(fmt::format("block {} does not know its place in the heap", block));
    if (i > 0 && GoesBefore(block, heap_[static_cast<size_t>((i - 1) / 2)])) {
      return Broken(fmt::format("block {} stands too low in the heap", block));
    }
  }
  int64_t num_unreferenced = 0;
  int64_t num_evictable = 0;
  for (BlockIndex block = 0; block < std::ssize(nodes_); ++block) {
    const Node& node = At(block);
    const bool is_unreferenced = node.is_node && node.num_references == 0;
    const bool is_evictable = is_unreferenced && node.num_children == 0;
    num_unreferenced += is_unreferenced ? 1 : 0;
    num_evictable += is_evictable ? 1 : 0;
    if (is_evictable && (node.heap_position < 0 || node.heap_position >= std::ssize(heap_) ||
                         heap_[static_cast<size_t>(node.heap_position)] != block)) {
      return Broken(fmt::format("block {} is missing in the heap", block));
    }
  }
  if (num_evictable != std::ssize(heap_)) {
    return Broken(fmt::format("{} nodes could be evicted, the heap has {}", num_evictable, heap_.size()));
  }
  if (num_unreferenced != num_unreferenced_) {
    return Broken(fmt::format("{} unreferenced nodes, counted as {}", num_unreferenced, num_unreferenced_));
  }
  return {};
}

std::vector<RadixTree::Prefix> RadixTree::Prefixes(size_t limit) const {
  std::vector<BlockIndex> leaves;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].is_node && nodes_[i].num_children == 0) leaves.push_back(static_cast<BlockIndex>(i));
  }
  const auto age = [this](BlockIndex leaf) { return At(leaf).num_references > 0 ? uint64_t{0} : num_uses_ - At(leaf).used_at; };
  const auto num_kept = static_cast<std::ptrdiff_t>(std::min(limit, leaves.size()));
  std::ranges::partial_sort(leaves, leaves.begin() + num_kept, {}, age);
  leaves.resize(static_cast<size_t>(num_kept));
  std::vector<Prefix> prefixes;
  prefixes.reserve(leaves.size());
  for (const BlockIndex leaf : leaves) {
    Prefix prefix{.num_tokens = int64_t{At(leaf).depth} * kBlockSizeTokens + At(leaf).num_tokens,
                  .num_own_blocks = 1,
                  .num_users = At(leaf).num_references,
                  .unused_seconds = At(leaf).num_references > 0 ? 0 : int64_t{seconds_ - At(leaf).used_second}};
    for (BlockIndex up = At(leaf).parent; up != kRoot && At(up).num_children == 1; up = At(up).parent) ++prefix.num_own_blocks;
    prefixes.push_back(prefix);
  }
  return prefixes;
}

}  // namespace autoglm
