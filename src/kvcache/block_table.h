#pragma once

#include <cstdint>
#include <vector>

namespace autoglm {

inline constexpr int64_t kBlockSizeTokens = 32;
using BlockIndex = int32_t;  // of a block in the KV pool, [0, num_blocks)

// Blocks that hold `num_tokens` tokens, the last one perhaps in part.
constexpr int64_t NumBlocksFor(int64_t num_tokens) { return (num_tokens + kBlockSizeTokens - 1) / kBlockSizeTokens; }

// The blocks of one sequence in token order: token t lives in blocks[t / 32] at offset t % 32.
// The first num_shared blocks came from the prefix tree or were given to it, and are read-only. The rest are the sequence's own.
struct BlockTable {
  std::vector<BlockIndex> blocks;
  int64_t num_shared = 0;
  int64_t num_matched_tokens = 0;  // whose KV was there when the table started

  int64_t num_blocks() const { return static_cast<int64_t>(blocks.size()); }
};

}  // namespace autoglm
