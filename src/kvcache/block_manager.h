#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "kvcache/block_key.h"
#include "kvcache/block_listener.h"
#include "kvcache/block_pool.h"
#include "kvcache/block_table.h"
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

// The one owner of KV blocks: hands them to sequences, keeps full blocks in a radix tree keyed by their tokens so that any
// later request with the same prefix reuses them, and evicts the least recently used ones that nobody references.
//
// Called by the engine thread only. Every block is at any time exactly one of: free, cached, used.
class BlockManager {
 public:
  explicit BlockManager(int64_t num_blocks);
  // From now on `listener` is told what enters and leaves the tree; null: nobody is. It outlives the manager or is taken back.
  void SetListener(BlockListener* listener) { listener_ = listener; }
  // Tells somebody of all that is in the tree now, parents before children.
  void Announce(BlockListener& listener) const;
  BlockManager(const BlockManager&) = delete;
  BlockManager& operator=(const BlockManager&) = delete;

  // Starts a table with the longest known prefix of `tokens` in whole blocks, at most `max_tokens` tokens of it.
  // References the blocks. `salt` separates tenants: prefixes of different salts never match.
  BlockTable MatchPrefix(std::span<const TokenId> tokens, int64_t max_tokens, uint64_t salt = 0);

  // The same for somebody who computes nothing: keeps the blocks where they are until Release, and counts as no query.
  BlockTable HoldPrefix(std::span<const TokenId> tokens, int64_t max_tokens, uint64_t salt = 0);

  // How many tokens MatchPrefix would find, touching nothing.
  int64_t PeekPrefix(std::span<const TokenId> tokens, int64_t max_tokens, uint64_t salt = 0) const;

  // How many of num_available() would be taken by MatchPrefix(tokens, max_tokens, salt) and then Grow to `num_tokens`:
  // all blocks of the table except those of the prefix that other sequences use already.
  int64_t NumBlocksNeeded(std::span<const TokenId> tokens, int64_t max_tokens, int64_t num_tokens, uint64_t salt = 0) const;

  // Grows the table to hold `num_tokens`, evicting cached blocks where no block is free. False, and nothing changed, where
  // even that does not suffice.
  [[nodiscard]] bool Grow(BlockTable& table, int64_t num_tokens);

  // Tells that the KV of tokens[0, num_computed) has been written. Newly full blocks enter the tree; where the tree already
  // holds a block of the same tokens, the table switches to that one and its own copy is freed (equal bit by bit, because
  // logits and KV do not depend on how a token was batched).
  void Commit(BlockTable& table, std::span<const TokenId> tokens, int64_t num_computed, uint64_t salt = 0);

  // Gives the table's references back. Full committed blocks stay cached, the rest become free. The table is empty after.
  void Release(BlockTable& table);

  // Forgets the longest known prefix of `tokens`, from its end on as far as nobody uses its blocks and no other prefix goes on
  // behind them. The names of the blocks that became free.
  std::vector<BlockKey> ForgetPrefix(std::span<const TokenId> tokens, uint64_t salt = 0);

  // Forgets every cached prefix that no sequence uses.
  void ClearCache();

  BlockManagerStats stats() const;
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
  std::optional<BlockIndex> Evict();
  void TellRemoved(BlockIndex block);
  Status CheckTable(const BlockTable& table) const;

  BlockPool pool_;
  RadixTree tree_;
  BlockListener* listener_ = nullptr;
  int64_t num_private_ = 0;     // blocks in one table and not in the tree
  int64_t num_references_ = 0;  // entries of all live tables together
  int64_t prefix_queries_ = 0;
  int64_t prefix_hits_ = 0;
  int64_t num_evicted_ = 0;
};

}  // namespace autoglm
