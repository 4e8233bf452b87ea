#pragma once

#include "cli/command.h"

namespace CLI {
class App;
}

namespace autoglm {

// autoglm keys create --name NAME · autoglm keys list · autoglm keys revoke ID_OR_NAME
void AddKeysCommands(CLI::App& app, CommandAction& action);

}  // namespace autoglm
