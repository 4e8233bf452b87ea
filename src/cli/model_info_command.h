#pragma once

#include <string>

#include "base/result.h"
#include "cli/command.h"

namespace CLI {
class App;
}

namespace autoglm {

struct ModelInfoOptions {
  std::string file;
  bool as_json = false;
};

// autoglm model info FILE
void AddModelInfoCommand(CLI::App& app, CommandAction& action);
Result<int> RunModelInfo(const ModelInfoOptions& options, Console& console);

}  // namespace autoglm
