#pragma once

#include "cli/command.h"

namespace CLI {
class App;
}

namespace autoglm {

// autoglm model pull REFERENCE · autoglm model list · autoglm model remove REFERENCE
void AddStoreCommands(CLI::App& app, CommandAction& action);

}  // namespace autoglm
