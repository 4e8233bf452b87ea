#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace autoglm {

bool IsBase64Url(std::string_view text);

// RFC 4648 section 5, without padding. nullopt for what is not that, also where bits are left over that are not zero.
std::optional<std::vector<uint8_t>> DecodeBase64Url(std::string_view text);

}  // namespace autoglm
