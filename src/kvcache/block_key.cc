#include "kvcache/block_key.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <array>
#include <charconv>

namespace autoglm {

BlockKey BlockKey::Of(const BlockKey& parent, std::span<const TokenId> tokens, uint64_t salt) {
  // The seed has room for one of the three; the other two come from its hash of the parent and the salt.
  const std::array<uint64_t, 3> before = {parent.high, parent.low, salt};
  const XXH128_hash_t prefix = XXH3_128bits(before.data(), sizeof before);
  const XXH128_hash_t one = XXH3_128bits_withSeed(tokens.data(), tokens.size_bytes(), prefix.low64);
  const XXH128_hash_t other = XXH3_128bits_withSeed(tokens.data(), tokens.size_bytes(), prefix.high64);
  return {.high = one.high64 ^ other.low64, .low = one.low64 ^ other.high64};
}

std::vector<BlockKey> BlockKeysOf(std::span<const TokenId> tokens, const CacheScope& scope) {
  std::vector<BlockKey> keys;
  BlockKey key;
  for (int64_t i = 0; (i + 1) * kBlockSizeTokens <= std::ssize(tokens); ++i) {
    key = BlockKey::Of(key, tokens.subspan(static_cast<size_t>(i * kBlockSizeTokens), kBlockSizeTokens), scope.SaltOf(i));
    keys.push_back(key);
  }
  return keys;
}

std::string BlockKey::Hex() const { return fmt::format("{:016x}{:016x}", high, low); }

std::optional<BlockKey> BlockKey::FromHex(std::string_view text) {
  constexpr size_t kHalf = 16;
  if (text.size() != 2 * kHalf || text.find_first_not_of("0123456789abcdef") != std::string_view::npos) return std::nullopt;
  BlockKey key;
  (void)std::from_chars(text.data(), text.data() + kHalf, key.high, 16);
  (void)std::from_chars(text.data() + kHalf, text.data() + 2 * kHalf, key.low, 16);
  return key;
}

}  // namespace autoglm
