#pragma once

#include "cli/command.h"

namespace CLI {
class App;
}

namespace autoglm {

// autoglm slo rules FILE · lint FILE · status · gate · openslo FILE
void AddSloCommands(CLI::App& app, CommandAction& action);

}  // namespace autoglm
