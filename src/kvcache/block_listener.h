#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "kvcache/block_key.h"
#include "kvcache/block_table.h"

namespace autoglm {

// Told of every block that becomes known by its content, or is forgotten, on the thread that owns the BlockManager and at the
// moment it happens; must not call back into it, nor block.
class BlockListener {
 public:
  virtual ~BlockListener() = default;

  // The block holds `tokens` [32] behind the block named `parent` (the empty key: it is the first).
  virtual void OnStored(BlockIndex block, const BlockKey& key, const BlockKey& parent, std::span<const TokenId> tokens) = 0;
  virtual void OnRemoved(BlockIndex block, const BlockKey& key) = 0;
};

}  // namespace autoglm
