#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "discovery/kv_event_batch.h"

namespace autoglm::discovery {

// Names of a prompt's whole blocks of one size, computed as far as somebody asks: each stands for its tokens and all before it.
class BlockNames {
 public:
  BlockNames(std::span<const TokenId> tokens, int64_t block_size_tokens)
      : tokens_(tokens), block_size_(static_cast<size_t>(block_size_tokens)) {}

  // nullopt behind the last whole block.
  std::optional<uint64_t> At(size_t block_index);
  int64_t block_size_tokens() const { return static_cast<int64_t>(block_size_); }

  // Of the block behind the one named `parent`; 0 for a first block.
  static uint64_t NameOf(uint64_t parent, std::span<const TokenId> tokens);

 private:
  std::span<const TokenId> tokens_;
  size_t block_size_;
  std::vector<uint64_t> names_;
};

// What one engine has in its prefix cache, by its events. Its own names of blocks are secret in part (salts, other hash
// functions), so blocks are named anew by their tokens; several of its blocks may have one name. A block whose parent is not
// known is left out: nobody can tell which prompt it belongs to.
class EngineBlocks {
 public:
  // Takes at most `room` more blocks; the answer is how many of those that were told it had no room for.
  int64_t Apply(const EngineEvent& event, int64_t room);

  // 0 while nothing is known.
  int64_t block_size_tokens() const { return block_size_; }
  int64_t NumMatched(BlockNames& prompt) const;  // tokens

  int64_t num_blocks() const { return std::ssize(names_); }
  // It is known that there is nothing else: all was told since the cache was empty.
  bool is_complete() const { return is_complete_; }

 private:
  int64_t Store(const EngineEvent& event, int64_t room);
  void Remove(uint64_t block);

  int64_t block_size_ = 0;
  bool is_complete_ = false;
  std::unordered_map<uint64_t, uint64_t> names_;   // by the engine's
  std::unordered_map<uint64_t, int32_t> holders_;  // how many of its blocks have a name
};

}  // namespace autoglm::discovery
