#include "kvstore/compressed_blocks.h"

#include "base/check.h"

namespace autoglm {

void CompressedBlocks::Keep(const BlockKey& key, std::span<const std::byte> block) {
  Erase(key);
  const auto encoded = codec_.Encode(block);
  const int64_t num_bytes = std::ssize(encoded);
  if (num_bytes > max_bytes_) {
    ++stats_.num_dropped;
    return;
  }
  while (stats_.stored_bytes + num_bytes > max_bytes_) {
    Remove(blocks_.find(order_.front()));
    ++stats_.num_dropped;
  }
  order_.push_back(key);
  blocks_.emplace(key, Block{.encoded = {encoded.begin(), encoded.end()}, .place = std::prev(order_.end())});
  ++stats_.num_stored;
  stats_.stored_bytes += num_bytes;
  ++stats_.num_kept;
}

bool CompressedBlocks::Take(const BlockKey& key, std::span<std::byte> block) {
  const auto found = blocks_.find(key);
  if (found == blocks_.end()) return false;
  AUTOGLM_CHECK(codec_.Decode(found->second.encoded, block));  // it never left the memory
  Remove(found);
  ++stats_.num_read;
  return true;
}

void CompressedBlocks::Erase(const BlockKey& key) {
  if (const auto found = blocks_.find(key); found != blocks_.end()) Remove(found);
}

void CompressedBlocks::Remove(Blocks::iterator block) {
  --stats_.num_stored;
  stats_.stored_bytes -= std::ssize(block->second.encoded);
  order_.erase(block->second.place);
  blocks_.erase(block);
}

}  // namespace autoglm
