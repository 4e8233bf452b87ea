#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "cli/command.h"
#include "tokenizer/tokenizer.h"

namespace CLI {
class App;
}

namespace autoglm {

struct TokenizeOptions {
  enum class Format { kTable, kIds, kJson };

  std::string model;
  std::optional<std::string> text;  // nullopt: standard input
  bool parse_special = false;
  Format format = Format::kTable;
};

// autoglm model tokenize MODEL [--text TEXT]
void AddTokenizeCommand(CLI::App& app, CommandAction& action);
Result<int> RunTokenize(const TokenizeOptions& options, Console& console);

}  // namespace autoglm
