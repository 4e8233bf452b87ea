#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "kvcache/block_table.h"

namespace autoglm {

// The blocks that hold nothing. The one given back last is handed out first, because its memory is likely still in a cache.
class BlockPool {
 public:
  explicit BlockPool(int64_t num_blocks);

  std::optional<BlockIndex> Take();
  // `block` must have been taken.
  void GiveBack(BlockIndex block);

  int64_t num_blocks() const { return static_cast<int64_t>(is_free_.size()); }
  int64_t num_free() const { return static_cast<int64_t>(free_.size()); }
  bool IsFree(BlockIndex block) const { return is_free_[static_cast<size_t>(block)]; }

  // The list of free blocks names each free block once, and no other.
  Status CheckIntegrity() const;

 private:
  friend struct BlockPoolPeer;  // tests break a pool on purpose

  std::vector<BlockIndex> free_;
  std::vector<bool> is_free_;  // [num_blocks]
};

}  // namespace autoglm
