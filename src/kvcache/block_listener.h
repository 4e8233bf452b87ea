#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "kvcache/block_key.h"
#include "kvcache/block_table.h"

namespace autoglm {

enum class BlockRemoval {
  kEvicted,    // somebody else needs the room
  kForgotten,  // nobody is to find it any more
};

// Told of every full block that becomes known by its content, or is forgotten, on the thread that owns the BlockManager and at
// the moment it happens; must not call back into it, nor block.
class BlockListener {
 public:
  virtual ~BlockListener() = default;

  // The block holds `tokens` [32] behind the block named `parent` (the empty key: it is the first).
  virtual void OnStored(BlockIndex block, const BlockKey& key, const BlockKey& parent, std::span<const TokenId> tokens) = 0;
  // Its contents are still there, but not when this returns.
  virtual void OnRemoved(BlockIndex block, const BlockKey& key, BlockRemoval why) = 0;
};

}  // namespace autoglm
