#pragma once

#include "cli/command.h"

namespace CLI {
class App;
}

namespace autoglm {

// autoglm trace ID: where the time of one request went, as a waterfall.
void AddTraceCommand(CLI::App& app, CommandAction& action);

}  // namespace autoglm
