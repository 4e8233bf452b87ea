#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace autoglm {

using KeyHash = std::array<uint8_t, 32>;

KeyHash Sha256Of(std::string_view text);
// 64 hexadecimal digits, of either case. Errors: kInvalidArgument.
Result<KeyHash> ParseKeyHash(std::string_view hex);

// "sk-autoglm-" and 40 characters from the system's random numbers. Those are 238 bits, which nobody guesses, so a plain SHA-256
// of the whole is safe to keep: slow hashes are for passwords that people think up.
std::string NewKeyText();
// "key-" and 12 characters.
std::string NewKeyId();

// What tenants' names are hashed with, so that salts cannot be computed from names.
using TenantSecret = std::array<uint8_t, 32>;
TenantSecret NewTenantSecret();
// The first 8 bytes of HMAC-SHA256(secret, tenant), little endian; never 0.
uint64_t CacheSaltOf(const TenantSecret& secret, std::string_view tenant);
// Of a tenant that one with the salt `outer`, as secret as this one will be, tells apart itself.
uint64_t CacheSaltWithin(uint64_t outer, std::string_view tenant);

}  // namespace autoglm
