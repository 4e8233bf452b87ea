#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace autoglm {

// Where API keys are kept unless somebody says otherwise: $XDG_STATE_HOME/autoglm/keys.db, or ~/.local/state/autoglm/keys.db.
std::filesystem::path DefaultKeyDatabase();

// "auto" is the default, "off" none, everything else a path. Errors: kInvalidArgument for an empty text.
Result<std::optional<std::filesystem::path>> ParseKeyDatabase(std::string_view text);

}  // namespace autoglm
