#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/command.h"
#include "cli/open_model.h"

namespace CLI {
class App;
}

namespace autoglm {

struct LogitsOptions {
  std::string model;
  std::vector<TokenId> tokens;  // or, where empty,
  std::string text;
  ComputeOptions compute;
};

// autoglm model logits MODEL --tokens 1,2,3 | --text TEXT
void AddLogitsCommand(CLI::App& app, CommandAction& action);
Result<int> RunLogits(const LogitsOptions& options, Console& console);

}  // namespace autoglm
