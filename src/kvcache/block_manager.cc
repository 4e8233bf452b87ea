#include "kvcache/block_manager.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/check.h"

namespace autoglm {
namespace {

int64_t NumWholeBlocks(std::span<const TokenId> tokens, int64_t max_tokens) {
  return std::min(std::ssize(tokens), max_tokens) / kBlockSizeTokens;
}

std::span<const TokenId> TokensOfBlock(std::span<const TokenId> tokens, int64_t i) {
  return tokens.subspan(static_cast<size_t>(i * kBlockSizeTokens), kBlockSizeTokens);
}

// Calls visit(block) for every block of the longest known prefix, first block first, and returns their number.
template <typename Visit>
int64_t WalkPrefix(const RadixTree& tree, std::span<const TokenId> tokens, int64_t num_blocks, const CacheScope& scope,
                   Visit visit) {
  BlockIndex parent = RadixTree::kRoot;
  for (int64_t i = 0; i < num_blocks; ++i) {
    const auto child = tree.FindChild(parent, TokensOfBlock(tokens, i), scope.SaltOf(i));
    if (!child) return i;
    visit(*child);
    parent = *child;
  }
  return num_blocks;
}

// The node behind which the first block of the table that is not shared stands.
BlockIndex ParentOfNext(const BlockTable& table) {
  return table.num_shared == 0 ? RadixTree::kRoot : table.blocks[static_cast<size_t>(table.num_shared - 1)];
}

tl::unexpected<Error> Broken(std::string what) { return Fail(ErrorCode::kInternal, "block manager: " + std::move(what)); }

}  // namespace

BlockManager::BlockManager(int64_t num_blocks) : pool_(num_blocks), tree_(num_blocks) {}

void BlockManager::Announce(BlockListener& listener) const {
  std::vector<bool> is_told(static_cast<size_t>(pool_.num_blocks()), false);
  std::vector<BlockIndex> path;
  for (BlockIndex block = 0; block < pool_.num_blocks(); ++block) {
    if (!tree_.Contains(block) || tree_.IsPartial(block)) continue;
    for (BlockIndex at = block; at != RadixTree::kRoot && !is_told[static_cast<size_t>(at)]; at = tree_.parent(at))
      path.push_back(at);
    for (; !path.empty(); path.pop_back()) {
      const BlockIndex at = path.back();
      listener.OnStored(at, tree_.key(at), tree_.key(tree_.parent(at)), tree_.tokens(at));
      is_told[static_cast<size_t>(at)] = true;
    }
  }
}

BlockTable BlockManager::MatchPrefix(std::span<const TokenId> tokens, int64_t max_tokens, const CacheScope& scope) {
  BlockTable table = HoldPrefix(tokens, max_tokens, scope);
  const int64_t begin = table.num_shared * kBlockSizeTokens;
  const int64_t num_allowed = std::clamp<int64_t>(max_tokens, 0, std::ssize(tokens));
  const int64_t num_rest = std::min(num_allowed - begin, kBlockSizeTokens - 1);
  if (copy_ && num_rest > 0) {
    const auto rest = tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(num_rest));
    table.num_matched_tokens += MatchBeginning(table, rest, scope.SaltOf(table.num_shared));
  }
  prefix_queries_ += num_allowed;
  prefix_hits_ += table.num_matched_tokens;
  return table;
}

// Adds a block to the table that has a part of `tokens`; how many of them.
int64_t BlockManager::MatchBeginning(BlockTable& table, std::span<const TokenId> tokens, uint64_t salt) {
  const auto found = tree_.FindBeginning(ParentOfNext(table), tokens, salt);
  if (!found) return 0;
  const bool goes_on = std::ssize(tree_.tokens(found->block)) > found->num_tokens;
  if (!goes_on && tree_.num_references(found->block) == 0) {
    AUTOGLM_CHECK(tree_.Remove(found->block));
    table.blocks.push_back(found->block);
  } else if (!CopyInto(table, found->block)) {
    return 0;
  }
  ++num_private_;
  ++num_references_;
  return found->num_tokens;
}

// False where there is no block to copy into.
bool BlockManager::CopyInto(BlockTable& table, BlockIndex source) {
  tree_.Reference(source);  // or it might be the one that is evicted
  const bool has_room = num_available() > 0;
  if (has_room) {
    table.blocks.push_back(TakeBlock());
    copy_(source, table.blocks.back());
  }
  tree_.Unreference(source);
  return has_room;
}

BlockTable BlockManager::HoldPrefix(std::span<const TokenId> tokens, int64_t max_tokens, const CacheScope& scope) {
  BlockTable table;
  table.blocks.reserve(static_cast<size_t>(NumBlocksFor(std::ssize(tokens) + 1)));
  table.num_shared = WalkPrefix(tree_, tokens, NumWholeBlocks(tokens, max_tokens), scope, [&](BlockIndex block) {
    tree_.Reference(block);
    table.blocks.push_back(block);
  });
  num_references_ += table.num_shared;
  table.num_matched_tokens = table.num_shared * kBlockSizeTokens;
  return table;
}

int64_t BlockManager::PeekPrefix(std::span<const TokenId> tokens, int64_t max_tokens, const CacheScope& scope) const {
  return kBlockSizeTokens * WalkPrefix(tree_, tokens, NumWholeBlocks(tokens, max_tokens), scope, [](BlockIndex) {});
}

int64_t BlockManager::NumBlocksNeeded(std::span<const TokenId> tokens, int64_t max_tokens, int64_t num_tokens,
                                      const CacheScope& scope) const {
  int64_t num_matched_used = 0;
  const int64_t num_matched = WalkPrefix(tree_, tokens, NumWholeBlocks(tokens, max_tokens), scope, [&](BlockIndex block) {
    if (tree_.num_references(block) > 0) ++num_matched_used;
  });
  return std::max(NumBlocksFor(num_tokens), num_matched) - num_matched_used;
}

bool BlockManager::Grow(BlockTable& table, int64_t num_tokens) {
  const int64_t num_more = NumBlocksFor(num_tokens) - table.num_blocks();
  if (num_more <= 0) return true;
  if (num_more > num_available()) return false;
  for (int64_t i = 0; i < num_more; ++i) table.blocks.push_back(TakeBlock());
  num_private_ += num_more;
  num_references_ += num_more;
  return true;
}

BlockIndex BlockManager::TakeBlock() {
  if (const auto block = pool_.Take()) return *block;
  const auto evicted = Evict(BlockRemoval::kEvicted);
  AUTOGLM_CHECK(evicted.has_value());
  ++num_evicted_;
  return *evicted;
}

std::optional<BlockIndex> BlockManager::Evict(BlockRemoval why) {
  const auto block = tree_.Evict();
  if (block) TellRemoved(*block, why);
  return block;
}

// The tree keeps what it knew of a block until it is inserted again.
void BlockManager::TellRemoved(BlockIndex block, BlockRemoval why) {
  if (std::ssize(tree_.tokens(block)) < kBlockSizeTokens) return;
  for (BlockListener* listener : listeners_) listener->OnRemoved(block, tree_.key(block), why);
}

std::vector<BlockKey> BlockManager::ForgetPrefix(std::span<const TokenId> tokens, const CacheScope& scope) {
  std::vector<BlockIndex> path;
  WalkPrefix(tree_, tokens, NumWholeBlocks(tokens, std::ssize(tokens)), scope, [&](BlockIndex block) { path.push_back(block); });
  std::vector<BlockKey> forgotten;
  for (; !path.empty(); path.pop_back()) {
    for (const BlockIndex partial : tree_.RemovePartialChildren(path.back(), scope.salt)) pool_.GiveBack(partial);
    if (std::ssize(path) <= scope.num_public_blocks() || !tree_.Remove(path.back())) break;
    TellRemoved(path.back(), BlockRemoval::kForgotten);
    pool_.GiveBack(path.back());
    forgotten.push_back(tree_.key(path.back()));
  }
  return forgotten;
}

void BlockManager::Commit(BlockTable& table, std::span<const TokenId> tokens, int64_t num_computed, const CacheScope& scope) {
  AUTOGLM_CHECK(num_computed <= std::ssize(tokens) && NumBlocksFor(num_computed) <= table.num_blocks());
  for (; (table.num_shared + 1) * kBlockSizeTokens <= num_computed; ++table.num_shared) {
    CommitFull(table, TokensOfBlock(tokens, table.num_shared), scope.SaltOf(table.num_shared));
  }
  const int64_t begin = table.num_shared * kBlockSizeTokens;
  if (!copy_ || begin >= num_computed) return;
  CommitBeginning(table, tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(num_computed - begin)),
                  scope.SaltOf(table.num_shared));
}

// The first block of the table that is not shared holds all of `tokens` now.
void BlockManager::CommitFull(BlockTable& table, std::span<const TokenId> tokens, uint64_t salt) {
  BlockIndex& block = table.blocks[static_cast<size_t>(table.num_shared)];
  const BlockIndex parent = ParentOfNext(table);
  if (tree_.Contains(block)) {
    tree_.Withdraw(block);
  } else {
    --num_private_;
  }
  if (const auto known = tree_.FindChild(parent, tokens, salt)) {
    tree_.Reference(*known);
    pool_.GiveBack(block);
    block = *known;
    return;
  }
  tree_.Insert(parent, block, tokens, salt);
  for (BlockListener* listener : listeners_) listener->OnStored(block, tree_.key(block), tree_.key(parent), tokens);
}

// It holds these, for now.
void BlockManager::CommitBeginning(BlockTable& table, std::span<const TokenId> tokens, uint64_t salt) {
  const BlockIndex block = table.blocks[static_cast<size_t>(table.num_shared)];
  if (tree_.Contains(block)) return tree_.Extend(block, tokens);
  tree_.Insert(ParentOfNext(table), block, tokens, salt);
  --num_private_;
}

void BlockManager::Release(BlockTable& table) {
  num_references_ -= table.num_blocks();
  // From the end: RadixTree wants children before parents, and the pool hands out early blocks first again.
  for (int64_t i = table.num_blocks() - 1; i >= 0; --i) {
    const BlockIndex block = table.blocks[static_cast<size_t>(i)];
    if (i < table.num_shared) {
      tree_.Unreference(block);
    } else if (tree_.Contains(block)) {
      ReleaseBeginning(block);
    } else {
      --num_private_;
      pool_.GiveBack(block);
    }
  }
  table = {};
}

// Keeps a partial block, unless another one has all that it has.
void BlockManager::ReleaseBeginning(BlockIndex block) {
  const auto tokens = tree_.tokens(block);
  const auto other = tree_.FindBeginning(tree_.parent(block), tokens, tree_.salt(block), block);
  if (!other || other->num_tokens < std::ssize(tokens)) return tree_.Unreference(block);
  tree_.Withdraw(block);
  pool_.GiveBack(block);
}

void BlockManager::ClearCache() {
  while (const auto block = Evict(BlockRemoval::kForgotten)) pool_.GiveBack(*block);
}

std::vector<BlockKey> BlockManager::KeysOf(const BlockTable& table) const {
  std::vector<BlockKey> keys;
  keys.reserve(static_cast<size_t>(table.num_shared));
  for (int64_t i = 0; i < table.num_shared; ++i) keys.push_back(tree_.key(table.blocks[static_cast<size_t>(i)]));
  return keys;
}

BlockManagerStats BlockManager::stats() const {
  return {.num_blocks = pool_.num_blocks(),
          .num_free = pool_.num_free(),
          .num_cached = tree_.num_unreferenced(),
          .num_used = pool_.num_blocks() - num_available(),
          .prefix_queries = prefix_queries_,
          .prefix_hits = prefix_hits_,
          .num_evicted = num_evicted_};
}

Status BlockManager::CheckIntegrity() const {
  AUTOGLM_TRY_VOID(pool_.CheckIntegrity());
  AUTOGLM_TRY_VOID(tree_.CheckIntegrity());
  int64_t num_private = 0;
  int64_t num_references = 0;
  for (BlockIndex block = 0; block < pool_.num_blocks(); ++block) {
    if (pool_.IsFree(block) && tree_.Contains(block)) return Broken(fmt::format("block {} is free and in the tree", block));
    if (tree_.Contains(block)) num_references += tree_.num_references(block);
    if (!pool_.IsFree(block) && !tree_.Contains(block)) ++num_private;
  }
  if (num_private != num_private_) {
    return Broken(fmt::format("{} blocks are neither free nor in the tree, tables have {}", num_private, num_private_));
  }
  if (num_references + num_private != num_references_) {
    return Broken(fmt::format("{} references, tables have {}", num_references + num_private, num_references_));
  }
  return {};
}

Status BlockManager::CheckIntegrity(std::span<const BlockTable* const> tables) const {
  AUTOGLM_TRY_VOID(CheckIntegrity());
  std::vector<int64_t> num_references(static_cast<size_t>(pool_.num_blocks()), 0);
  for (const BlockTable* table : tables) {
    AUTOGLM_TRY_VOID(CheckTable(*table));
    for (const BlockIndex block : table->blocks) ++num_references[static_cast<size_t>(block)];
  }
  for (BlockIndex block = 0; block < pool_.num_blocks(); ++block) {
    const int64_t privately = pool_.IsFree(block) ? 0 : 1;
    const int64_t expected = tree_.Contains(block) ? tree_.num_references(block) : privately;
    const int64_t found = num_references[static_cast<size_t>(block)];
    if (found != expected) return Broken(fmt::format("block {} is in {} tables, counted as {}", block, found, expected));
  }
  return {};
}

Status BlockManager::CheckTable(const BlockTable& table) const {
  if (table.num_shared < 0 || table.num_shared > table.num_blocks()) return Broken("a table shares more blocks than it has");
  BlockIndex parent = RadixTree::kRoot;
  for (int64_t i = 0; i < table.num_blocks(); ++i) {
    const BlockIndex block = table.blocks[static_cast<size_t>(i)];
    if (block < 0 || block >= pool_.num_blocks()) return Broken(fmt::format("a table names block {}", block));
    const bool is_full_node = tree_.Contains(block) && !tree_.IsPartial(block);
    if (is_full_node != (i < table.num_shared) || (tree_.IsPartial(block) && i != table.num_shared)) {
      return Broken(fmt::format("block {} is {} of a table, and the tree disagrees", block, i));
    }
    if (!tree_.Contains(block)) continue;
    if (tree_.parent(block) != parent) return Broken(fmt::format("block {} follows {} only in a table", block, parent));
    parent = block;
  }
  return {};
}

}  // namespace autoglm
