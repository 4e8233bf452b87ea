#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "kvcache/block_table.h"

namespace autoglm {

// Who may find the blocks of a sequence: its tenant, told from others by a salt, or everybody, where its first tokens are a
// prefix that was declared public. Part of a block's name (BlockKey).
struct CacheScope {
  // The salt of public blocks; no tenant's.
  static constexpr uint64_t kPublicSalt = 0x9d6f0a7c41b3e825;

  // NOLINTNEXTLINE(google-explicit-constructor): a salt alone is a scope.
  constexpr CacheScope(uint64_t tenant_salt = 0, int64_t public_tokens = 0)
      : salt(tenant_salt), num_public_tokens(public_tokens) {}

  uint64_t salt;
  int64_t num_public_tokens;  // only whole blocks of them are public

  int64_t num_public_blocks() const { return num_public_tokens / kBlockSizeTokens; }
  // Of the i-th block of the sequence.
  uint64_t SaltOf(int64_t i) const { return i < num_public_blocks() ? kPublicSalt : salt; }
  // How many first tokens of two sequences may be shared, where they are equal.
  int64_t MostShared(const CacheScope& other) const {
    if (salt == other.salt) return std::numeric_limits<int64_t>::max();
    return std::min(num_public_tokens, other.num_public_tokens);
  }

  bool operator==(const CacheScope&) const = default;
};

}  // namespace autoglm
