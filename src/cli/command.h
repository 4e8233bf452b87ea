#pragma once

#include <functional>

#include "base/result.h"
#include "cli/console.h"

namespace autoglm {

// What the command line asked for, set while it is parsed. The exit code, or an error to print.
using CommandAction = std::function<Result<int>(Console&)>;

}  // namespace autoglm
