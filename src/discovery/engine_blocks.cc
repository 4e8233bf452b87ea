#include "discovery/engine_blocks.h"

#include <xxhash.h>

namespace autoglm::discovery {

uint64_t BlockNames::NameOf(uint64_t parent, std::span<const TokenId> tokens) {
  return XXH3_64bits_withSeed(tokens.data(), tokens.size_bytes(), parent);
}

std::optional<uint64_t> BlockNames::At(size_t block_index) {
  if (block_index >= tokens_.size() / block_size_) return std::nullopt;
  while (names_.size() <= block_index) {
    const auto tokens = tokens_.subspan(names_.size() * block_size_, block_size_);
    names_.push_back(NameOf(names_.empty() ? 0 : names_.back(), tokens));
  }
  return names_[block_index];
}

int64_t EngineBlocks::Apply(const EngineEvent& event, int64_t room) {
  switch (event.kind) {
    case EngineEvent::Kind::kStored:
      return Store(event, room);
    case EngineEvent::Kind::kRemoved:
      for (const uint64_t block : event.blocks) Remove(block);
      return 0;
    case EngineEvent::Kind::kCleared:
      *this = EngineBlocks();
      is_complete_ = true;
      return 0;
  }
  return 0;
}

int64_t EngineBlocks::Store(const EngineEvent& event, int64_t room) {
  if (names_.empty()) block_size_ = event.block_size_tokens;
  if (event.block_size_tokens != block_size_) return 0;
  uint64_t name = 0;
  if (event.parent) {
    const auto parent = names_.find(*event.parent);
    if (parent == names_.end()) return 0;
    name = parent->second;
  }
  std::span<const TokenId> tokens = event.tokens;
  for (size_t i = 0; i < event.blocks.size(); ++i) {
    name = BlockNames::NameOf(name, tokens.first(static_cast<size_t>(block_size_)));
    tokens = tokens.subspan(static_cast<size_t>(block_size_));
    const auto known = names_.find(event.blocks[i]);
    if (known != names_.end() && known->second == name) continue;
    if (known != names_.end()) Remove(event.blocks[i]);
    if (room == 0) return std::ssize(event.blocks) - static_cast<int64_t>(i);
    names_.emplace(event.blocks[i], name);
    ++holders_[name];
    --room;
  }
  return 0;
}

void EngineBlocks::Remove(uint64_t block) {
  const auto known = names_.find(block);
  if (known == names_.end()) return;
  const auto holders = holders_.find(known->second);
  if (--holders->second == 0) holders_.erase(holders);
  names_.erase(known);
}

int64_t EngineBlocks::NumMatched(BlockNames& prompt) const {
  size_t num_blocks = 0;
  for (std::optional<uint64_t> name; (name = prompt.At(num_blocks)) && holders_.contains(*name);) ++num_blocks;
  return static_cast<int64_t>(num_blocks) * block_size_;
}

}  // namespace autoglm::discovery
