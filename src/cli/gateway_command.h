#pragma once

#include "cli/command.h"

namespace CLI {
class App;
}

namespace autoglm {

// autoglm gateway FILE
void AddGatewayCommand(CLI::App& app, CommandAction& action);

}  // namespace autoglm
