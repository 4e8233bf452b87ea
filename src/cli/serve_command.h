#pragma once

#include "base/result.h"
#include "cli/command.h"
#include "cli/serve_config.h"

namespace CLI {
class App;
}

namespace autoglm {

// autoglm serve MODEL
void AddServeCommand(CLI::App& app, CommandAction& action);

// Serves until SIGTERM or SIGINT, then drains: running answers finish, at most drain_timeout_s long; a second signal ends
// at once. 0, or 1 where the integrity check at the end finds something.
Result<int> RunServe(const ServeConfig& config, Console& console);

}  // namespace autoglm
