#include "kvcache/block_key.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <array>

namespace autoglm {

BlockKey BlockKey::Of(const BlockKey& parent, std::span<const TokenId> tokens, uint64_t salt) {
  // The seed has room for one of the three; the other two come from its hash of the parent and the salt.
  const std::array<uint64_t, 3> before = {parent.high, parent.low, salt};
  const XXH128_hash_t prefix = XXH3_128bits(before.data(), sizeof before);
  const XXH128_hash_t one = XXH3_128bits_withSeed(tokens.data(), tokens.size_bytes(), prefix.low64);
  const XXH128_hash_t other = XXH3_128bits_withSeed(tokens.data(), tokens.size_bytes(), prefix.high64);
  return {.high = one.high64 ^ other.low64, .low = one.low64 ^ other.high64};
}

std::string BlockKey::Hex() const { return fmt::format("{:016x}{:016x}", high, low); }

}  // namespace autoglm
