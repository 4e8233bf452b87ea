#include "kvcache/block_pool.h"

#include <fmt/format.h>

#include <limits>

#include "base/check.h"

namespace autoglm {

BlockPool::BlockPool(int64_t num_blocks) {
  AUTOGLM_CHECK(num_blocks > 0 && num_blocks <= std::numeric_limits<BlockIndex>::max());
  is_free_.assign(static_cast<size_t>(num_blocks), true);
  free_.reserve(is_free_.size());
  for (int64_t block = num_blocks - 1; block >= 0; --block) free_.push_back(static_cast<BlockIndex>(block));
}

std::optional<BlockIndex> BlockPool::Take() {
  if (free_.empty()) return std::nullopt;
  const BlockIndex block = free_.back();
  free_.pop_back();
  is_free_[static_cast<size_t>(block)] = false;
  return block;
}

void BlockPool::GiveBack(BlockIndex block) {
  AUTOGLM_CHECK(block >= 0 && block < num_blocks() && !IsFree(block));
  is_free_[static_cast<size_t>(block)] = true;
  free_.push_back(block);
}

Status BlockPool::CheckIntegrity() const {
  std::vector<bool> listed(is_free_.size(), false);
  for (const BlockIndex block : free_) {
    if (block < 0 || block >= num_blocks()) return Fail(ErrorCode::kInternal, fmt::format("free block {} does not exist", block));
    if (listed[static_cast<size_t>(block)]) return Fail(ErrorCode::kInternal, fmt::format("block {} is free twice", block));
    listed[static_cast<size_t>(block)] = true;
  }
  if (listed != is_free_) return Fail(ErrorCode::kInternal, "the free list and the free marks disagree");
  return {};
}

}  // namespace autoglm
