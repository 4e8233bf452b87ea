#pragma once

#include "cli/command.h"

namespace CLI {
class App;
}

namespace autoglm {

// autoglm metrics: what servers and gateways measure, as the tables of docs/METRICS.md.
void AddMetricsCommand(CLI::App& app, CommandAction& action);

}  // namespace autoglm
