#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace autoglm {

// `text` with the environment's values for each ${NAME}; "$${" stands for "${" itself. Errors: kInvalidArgument, which name the
// variable, never its value.
Result<std::string> PutEnvironmentIn(std::string_view text);

}  // namespace autoglm
