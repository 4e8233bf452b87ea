#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "cli/command.h"
#include "cli/open_model.h"

namespace CLI {
class App;
}

namespace autoglm {

struct PerplexityOptions {
  std::string model;
  std::string text_file;
  ComputeOptions compute;
  int64_t context = 0;  // tokens; 0: the model's, at most 4096
};

// autoglm model perplexity MODEL --text FILE
void AddPerplexityCommand(CLI::App& app, CommandAction& action);
Result<int> RunPerplexity(const PerplexityOptions& options, Console& console);

}  // namespace autoglm
