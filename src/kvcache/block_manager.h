#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "kvcache/block_key.h"
#include "kvcache/block_listener.h"
#include "kvcache/block_pool.h"
#include "kvcache/block_table.h"
#include "kvcache/cache_scope.h"
#include "kvcache/radix_tree.h"

namespace autoglm {

struct BlockManagerStats {
  int64_t num_blocks = 0;
  int64_t num_free = 0;        // hold nothing
  int64_t num_cached = 0;      // hold a prefix that no sequence uses now: reusable, and evicted when room is needed
  int64_t num_used = 0;        // referenced by at least one sequence
  int64_t prefix_queries = 0;  // tokens looked up
  int64_t prefix_hits = 0;     // tokens found
  int64_t num_evicted = 0;     // blocks, since start
};

// The one owner of KV blocks: hands them to sequences, keeps computed blocks in a radix tree keyed by their tokens so that any
// later request with the same prefix reuses them, and evicts by recency and cost (RadixTree) what nobody references.
//
// Full blocks are shared. Of a block whose beginning alone is right, a copy is taken: a partial one that a sequence has not
// filled, still running or ended, or a full one that goes on otherwise. Where nobody else can need the partial one it is taken
// over.
//
// Called by the engine thread only. Every block is at any time exactly one of: free, cached, used.
class BlockManager {
 public:
  explicit BlockManager(int64_t num_blocks);
  // From now on `listener` is told what enters and leaves the tree. It outlives the manager or is removed.
  void AddListener(BlockListener& listener) { listeners_.push_back(&listener); }
  void RemoveListener(const BlockListener& listener) { std::erase(listeners_, &listener); }
  // Copies the KV of a block to another. Without it only whole blocks are found again.
  void SetCopy(std::function<void(BlockIndex from, BlockIndex to)> copy) { copy_ = std::move(copy); }
  bool copies() const { return copy_ != nullptr; }
  // By which it is decided what is evicted: RadixTree::SetCost.
  void SetCost(RadixTree::Cost cost) { tree_.SetCost(std::move(cost)); }
  // Tells somebody of all that is in the tree now, parents before children.
  void Announce(BlockListener& listener) const;
  BlockManager(const BlockManager&) = delete;
  BlockManager& operator=(const BlockManager&) = delete;

  // Starts a table with the longest known prefix of `tokens`, at most `max_tokens` of it: BlockTable::num_matched_tokens, which
  // may end within the table's last block. References the blocks.
  BlockTable MatchPrefix(std::span<const TokenId> tokens, int64_t max_tokens, const CacheScope& scope = {});

  // The same in whole blocks for somebody who computes nothing: keeps them where they are until Release, and counts as no query.
  BlockTable HoldPrefix(std::span<const TokenId> tokens, int64_t max_tokens, const CacheScope& scope = {});

  // How many tokens HoldPrefix would find, touching nothing.
  int64_t PeekPrefix(std::span<const TokenId> tokens, int64_t max_tokens, const CacheScope& scope = {}) const;

  // How many of num_available() would be taken by MatchPrefix(tokens, max_tokens, scope) and then Grow to `num_tokens`:
  // all blocks of the table except those of the prefix that other sequences use already.
  int64_t NumBlocksNeeded(std::span<const TokenId> tokens, int64_t max_tokens, int64_t num_tokens,
                          const CacheScope& scope = {}) const;

  // Grows the table to hold `num_tokens`, evicting cached blocks where no block is free. False, and nothing changed, where
  // even that does not suffice.
  [[nodiscard]] bool Grow(BlockTable& table, int64_t num_tokens);

  // Tells that the KV of tokens[0, num_computed) has been written. Newly full blocks enter the tree; where the tree already
  // holds a block of the same tokens, the table switches to that one and its own copy is freed (equal bit by bit, because
  // logits and KV do not depend on how a token was batched).
  void Commit(BlockTable& table, std::span<const TokenId> tokens, int64_t num_computed, const CacheScope& scope = {});

  // Gives the table's references back. Committed blocks stay cached, the rest become free. The table is empty after.
  void Release(BlockTable& table);

  // Forgets the longest known prefix of `tokens`, from its end on as far as nobody uses its blocks and no other full block goes
  // on behind them. What is public stays: it is not this tenant's to forget. The names of the full blocks that became free.
  std::vector<BlockKey> ForgetPrefix(std::span<const TokenId> tokens, const CacheScope& scope = {});

  // Forgets every cached prefix that no sequence uses.
  void ClearCache();

  BlockManagerStats stats() const;
  // RadixTree::SetTime and Prefixes.
  void SetTime(int64_t seconds) { tree_.SetTime(seconds); }
  std::vector<RadixTree::Prefix> Prefixes(size_t limit) const { return tree_.Prefixes(limit); }
  // The names of the table's shared blocks, in order.
  std::vector<BlockKey> KeysOf(const BlockTable& table) const;
  // Whether the block holds nothing that anybody could ask for.
  bool IsFree(BlockIndex block) const { return pool_.IsFree(block); }
  // Blocks that Grow could hand out now: free and cached ones.
  int64_t num_available() const { return pool_.num_free() + tree_.num_unreferenced(); }

  // Walks everything and compares counts, references, tree links and the LRU list. kInternal says what disagrees.
  Status CheckIntegrity() const;
  // The same, and compares the references of every block with `tables`, which must be all live ones.
  Status CheckIntegrity(std::span<const BlockTable* const> tables) const;

 private:
  BlockIndex TakeBlock();
  std::optional<BlockIndex> Evict(BlockRemoval why);
  void TellRemoved(BlockIndex block, BlockRemoval why);
  int64_t MatchBeginning(BlockTable& table, std::span<const TokenId> tokens, uint64_t salt);
  bool CopyInto(BlockTable& table, BlockIndex source);
  void CommitFull(BlockTable& table, std::span<const TokenId> tokens, uint64_t salt);
  void CommitBeginning(BlockTable& table, std::span<const TokenId> tokens, uint64_t salt);
  void ReleaseBeginning(BlockIndex block);
  Status CheckTable(const BlockTable& table) const;

  BlockPool pool_;
  RadixTree tree_;
  std::vector<BlockListener*> listeners_;
  std::function<void(BlockIndex, BlockIndex)> copy_;
  int64_t num_private_ = 0;     // blocks in one table and not in the tree
  int64_t num_references_ = 0;  // entries of all live tables together
  int64_t prefix_queries_ = 0;
  int64_t prefix_hits_ = 0;
  int64_t num_evicted_ = 0;
};

}  // namespace autoglm
