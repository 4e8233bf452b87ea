#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "kvcache/block_key.h"
#include "kvstore/block_codec.h"

namespace autoglm {

struct CompressedBlocksStats {
  int64_t num_stored = 0;
  int64_t stored_bytes = 0;
  int64_t num_kept = 0;     // since start, as all below
  int64_t num_read = 0;     // and given back
  int64_t num_dropped = 0;  // there was no room any more
};

// Blocks that memory had no room for as they were, in fewer bytes: two thirds of BF16 (BlockCodec), equal bit for bit when they
// come back. What came first goes first.
//
// Called by one thread, the engine's, which does the work: a block of 0.7 MB takes about half a millisecond.
class CompressedBlocks {
 public:
  CompressedBlocks(int64_t max_bytes, int64_t block_bytes, int64_t element_bytes)
      : max_bytes_(max_bytes), codec_(block_bytes, element_bytes) {}

  // `block` [block_bytes]. Makes room where there is none; what is larger than all of it is dropped.
  void Keep(const BlockKey& key, std::span<const std::byte> block);
  bool Contains(const BlockKey& key) const { return blocks_.contains(key); }
  // Fills `block` [block_bytes] and forgets it. False where it is not there.
  bool Take(const BlockKey& key, std::span<std::byte> block);
  void Erase(const BlockKey& key);

  const CompressedBlocksStats& stats() const { return stats_; }

 private:
  struct Block {
    std::vector<std::byte> encoded;
    std::list<BlockKey>::iterator place;
  };
  using Blocks = std::unordered_map<BlockKey, Block, BlockKeyHash>;

  void Remove(Blocks::iterator block);

  const int64_t max_bytes_;
  BlockCodec codec_;
  Blocks blocks_;
  std::list<BlockKey> order_;  // the oldest first
  CompressedBlocksStats stats_;
};

}  // namespace autoglm
