#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kvcache/cache_scope.h"

namespace autoglm {

// The name of a full block by its content: its tokens, all tokens before them, and whose they are (XXH3, 128 bits). Equal in
// every process and after every restart. Which model the keys and values belong to is for the one who stores them to add.
struct BlockKey {
  uint64_t high = 0;
  uint64_t low = 0;

  // Of the block behind the one named `parent`, or of a first block, behind the empty key. `salt` separates tenants.
  static BlockKey Of(const BlockKey& parent, std::span<const TokenId> tokens, uint64_t salt);
  // 32 hexadecimal digits.
  std::string Hex() const;
  // The key that Hex() gives this text; nullopt for every other text.
  static std::optional<BlockKey> FromHex(std::string_view text);

  auto operator<=>(const BlockKey&) const = default;
};

// Of the whole blocks of a sequence, in order.
std::vector<BlockKey> BlockKeysOf(std::span<const TokenId> tokens, const CacheScope& scope);

struct BlockKeyHash {
  size_t operator()(const BlockKey& key) const { return static_cast<size_t>(key.low); }
};

}  // namespace autoglm
