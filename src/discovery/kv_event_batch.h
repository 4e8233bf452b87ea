#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"

namespace autoglm::discovery {

inline constexpr int64_t kEventBatchBytesMax = 16 << 20;

// What an engine tells of its prefix cache. Names of blocks are the engine's own; those that are strings of bytes are hashed.
struct EngineEvent {
  enum class Kind { kStored, kRemoved, kCleared };

  Kind kind = Kind::kCleared;
  std::vector<uint64_t> blocks;
  std::optional<uint64_t> parent;  // of kStored: the block before the first; nullopt: it begins a prefix
  std::vector<TokenId> tokens;     // of kStored: those of all blocks
  int64_t block_size_tokens = 0;   // of kStored
};

// A message of vLLM's ZmqEventPublisher (vllm/distributed/kv_events.py), which SGLang and we have, too, in MessagePack:
//   [seconds, [event, ...], rank]
// An event is an array, ["BlockStored", hashes, parent, tokens, block size, LoRA id, medium, LoRA name, extra keys, group], of
// which the last fields may be missing, or a map with "type" and these names. Left out: other kinds of events, blocks in other
// memory than the GPU's, blocks of LoRA adapters, and of all but the first group of a hybrid model. Errors: as ParseMessagePack,
// and kInvalidArgument for other shapes.
Result<std::vector<EngineEvent>> ParseEventBatch(std::span<const uint8_t> bytes);

}  // namespace autoglm::discovery
