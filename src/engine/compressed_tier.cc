#include "engine/compressed_tier.h"

#include "base/check.h"

namespace autoglm {
namespace {

constexpr double kBytesPerSecondUnknown = 1e9;
constexpr double kNewest = 0.1;  // share of the last block in what a block takes

}  // namespace

CompressedTier::CompressedTier(int64_t max_bytes, KvCache& kv, const Scheduler& scheduler, const Clock& clock)
    : pool_(kv.pool()),
      blocks_(kv.blocks()),
      scheduler_(scheduler),
      clock_(clock),
      compressed_(max_bytes, pool_.layout().block_bytes(), pool_.layout().element_bytes()),
      seconds_per_block_(static_cast<double>(pool_.layout().block_bytes()) / kBytesPerSecondUnknown) {
  blocks_.AddListener(*this);
}

bool CompressedTier::Unpack(std::span<const TokenId> tokens, const CacheScope& scope, TimePoint until) {
  const std::vector<BlockKey> keys = BlockKeysOf(tokens, scope);
  int64_t num_known = blocks_.PeekPrefix(tokens, std::ssize(tokens), scope) / kBlockSizeTokens;
  const auto is_next_here = [&] {
    return num_known < std::ssize(keys) && compressed_.Contains(keys[static_cast<size_t>(num_known)]) && IsQuicker(num_known);
  };
  if (!is_next_here()) return false;
  BlockTable table = blocks_.HoldPrefix(tokens, num_known * kBlockSizeTokens, scope);
  bool has_more = false;
  for (; is_next_here() && blocks_.num_available() > scheduler_.NumPromisedBlocks(); ++num_known) {
    const TimePoint begin = clock_.Now();
    has_more = begin >= until;
    if (has_more) break;
    // What makes room for it comes here, and may drive it out.
    AUTOGLM_CHECK(blocks_.Grow(table, (num_known + 1) * kBlockSizeTokens));
    if (!compressed_.Take(keys[static_cast<size_t>(num_known)], pool_.Block(table.blocks.back()))) break;
    blocks_.Commit(table, tokens, (num_known + 1) * kBlockSizeTokens, scope);
    seconds_per_block_ += kNewest * (Seconds(clock_.Now() - begin) - seconds_per_block_);
  }
  blocks_.Release(table);
  return has_more;
}

bool CompressedTier::IsQuicker(int64_t num_known) const {
  const auto compute_seconds = scheduler_.PromptSeconds(num_known * kBlockSizeTokens, kBlockSizeTokens);
  return !compute_seconds || seconds_per_block_ < *compute_seconds;
}

void CompressedTier::Erase(std::span<const BlockKey> keys) {
  for (const BlockKey& key : keys) compressed_.Erase(key);
}

// It was computed again, or came from the disk.
void CompressedTier::OnStored(BlockIndex /*block*/, const BlockKey& key, const BlockKey& /*parent*/,
                              std::span<const TokenId> /*tokens*/) {
  compressed_.Erase(key);
}

void CompressedTier::OnRemoved(BlockIndex block, const BlockKey& key, BlockRemoval why) {
  if (why == BlockRemoval::kEvicted) compressed_.Keep(key, pool_.Block(block));
}

}  // namespace autoglm
