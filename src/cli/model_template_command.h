#pragma once

#include <string>

#include "base/result.h"
#include "cli/command.h"

namespace CLI {
class App;
}

namespace autoglm {

struct TemplateOptions {
  std::string source;   // a GGUF file, or a file that is the template itself
  std::string context;  // a JSON file, "-" for standard input
};

// autoglm model template MODEL|FILE.jinja --context FILE.json
void AddTemplateCommand(CLI::App& app, CommandAction& action);
Result<int> RunTemplate(const TemplateOptions& options, Console& console);

}  // namespace autoglm
