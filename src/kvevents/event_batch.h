#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "kvcache/block_key.h"
#include "kvcache/block_table.h"

namespace autoglm {

// One change of what a prefix cache knows.
struct KvEvent {
  enum class Kind { kStored, kRemoved, kCleared };

  Kind kind = Kind::kCleared;
  BlockKey key;
  BlockKey parent;                                    // of kStored; the empty key: it is a first block
  std::array<TokenId, kBlockSizeTokens> tokens = {};  // of kStored
};

// Events as vLLM sends them (vllm/distributed/kv_events.py, in the form of arrays), in MessagePack:
//   [seconds since 1970, [event, ...], nil]
//   ["BlockStored", [hash, ...], parent's hash or nil, [token, ...], 32, nil, "GPU", nil]
//   ["BlockRemoved", [hash, ...], "GPU"]
//   ["AllBlocksCleared"]
// A hash is the low half of a BlockKey, unsigned. Blocks that follow each other in one prefix share one BlockStored. "GPU" is
// what vLLM calls the memory it computes from, on a processor, too; routers expect it.
std::vector<uint8_t> EncodeEventBatch(std::span<const KvEvent> events, double unix_seconds);

}  // namespace autoglm
