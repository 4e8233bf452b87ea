#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "cli/command.h"
#include "weights/quantize_plan.h"

namespace CLI {
class App;
}

namespace autoglm {

struct QuantizeOptions {
  std::string source;
  std::string target;
  QuantTarget to = QuantTarget::kQ8_0;
  int64_t threads = 0;  // 0: one per processor
  bool overwrites = false;
};

// autoglm model quantize SRC DST --to TYPE
void AddQuantizeCommand(CLI::App& app, CommandAction& action);
Result<int> RunQuantize(const QuantizeOptions& options, Console& console);

}  // namespace autoglm
