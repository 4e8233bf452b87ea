#pragma once

#include <cstdint>
#include <span>

#include "base/clock.h"
#include "base/result.h"
#include "engine/kv_cache.h"
#include "kvcache/block_listener.h"
#include "kvstore/compressed_blocks.h"
#include "scheduler/scheduler.h"

namespace autoglm {

// The prefixes of one engine that its KV memory had no room for, compressed. A block goes there when it is evicted and comes back
// when a request has it in its prompt; it is in one of the two places.
//
// Called by the engine thread only, which does all the work.
class CompressedTier final : public BlockListener {
 public:
  // All three outlive the tier.
  CompressedTier(int64_t max_bytes, KvCache& kv, const Scheduler& scheduler, const Clock& clock);
  ~CompressedTier() override { blocks_.RemoveListener(*this); }
  CompressedTier(const CompressedTier&) = delete;
  CompressedTier& operator=(const CompressedTier&) = delete;

  // Brings back what of the prefix lies here behind what is in the tree, as far as there are blocks that nobody needs and it is
  // quicker than computing. True: there is more, but `until` has come.
  [[nodiscard]] bool Unpack(std::span<const TokenId> tokens, const CacheScope& scope, TimePoint until);
  void Erase(std::span<const BlockKey> keys);

  // What it takes to bring back a block, in seconds; at first a guess.
  double seconds_per_block() const { return seconds_per_block_; }
  const CompressedBlocksStats& stats() const { return compressed_.stats(); }

  void OnStored(BlockIndex block, const BlockKey& key, const BlockKey& parent, std::span<const TokenId> tokens) override;
  void OnRemoved(BlockIndex block, const BlockKey& key, BlockRemoval why) override;

 private:
  bool IsQuicker(int64_t num_known) const;

  KvPool& pool_;
  BlockManager& blocks_;
  const Scheduler& scheduler_;
  const Clock& clock_;
  CompressedBlocks compressed_;
  double seconds_per_block_;
};

}  // namespace autoglm
