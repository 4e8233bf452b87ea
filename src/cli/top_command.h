#pragma once

#include "cli/command.h"

namespace CLI {
class App;
}

namespace autoglm {

// autoglm top: a server or a gateway at work, live.
void AddTopCommand(CLI::App& app, CommandAction& action);

}  // namespace autoglm
