#include "engine/prefix_holds.h"

#include <algorithm>
#include <utility>

namespace autoglm {

Result<int64_t> PrefixHolds::Hold(const std::string& name, std::span<const TokenId> tokens, const CacheScope& scope) {
  BlockTable table = blocks_.HoldPrefix(tokens, std::ssize(tokens), scope);
  Release(name);
  if (num_blocks_ + table.num_blocks() > max_blocks_) {
    blocks_.Release(table);
    return Fail(ErrorCode::kResourceExhausted, "Contexts keep as much memory as they may; erase or unpin one first.");
  }
  const int64_t num_tokens = table.num_shared * kBlockSizeTokens;
  num_blocks_ += table.num_blocks();
  held_.push_back({.name = name, .table = std::move(table)});
  return num_tokens;
}

void PrefixHolds::Release(const std::string& name) {
  const auto held = std::ranges::find(held_, name, &Held::name);
  if (held != held_.end()) Release(held);
}

void PrefixHolds::Release(std::list<Held>::iterator held) {
  num_blocks_ -= held->table.num_blocks();
  blocks_.Release(held->table);
  held_.erase(held);
}

bool PrefixHolds::ReleaseOldest() {
  if (held_.empty()) return false;
  Release(held_.begin());
  return true;
}

void PrefixHolds::ReleaseAll() {
  while (ReleaseOldest()) {
  }
}

std::vector<const BlockTable*> PrefixHolds::tables() const {
  std::vector<const BlockTable*> tables;
  tables.reserve(held_.size());
  for (const Held& held : held_) tables.push_back(&held.table);
  return tables;
}

}  // namespace autoglm
