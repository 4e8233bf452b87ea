#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace autoglm {

// Where this program keeps what can be made or fetched again: $XDG_CACHE_HOME/autoglm, or ~/.cache/autoglm.
std::filesystem::path CacheFolder();

// Where prepared weights are kept: "auto" is a folder in CacheFolder(), "off" nowhere (an empty path), everything else a path.
// Errors: kInvalidArgument for an empty text.
Result<std::filesystem::path> ParsePreparedCache(std::string_view text);
// The same for the prefixes of conversations.
Result<std::filesystem::path> ParseKvDisk(std::string_view text);

}  // namespace autoglm
