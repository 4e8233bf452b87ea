#pragma once

#include <string>

#include "base/result.h"
#include "bench/engine_bench.h"
#include "cli/command.h"
#include "cli/open_model.h"

namespace CLI {
class App;
}

namespace autoglm {

struct BenchEngineOptions {
  std::string model;
  ComputeOptions compute;
  EngineBenchOptions bench;
  bool json = false;
};

// autoglm bench engine MODEL
void AddBenchEngineCommand(CLI::App& app, CommandAction& action);
Result<int> RunBenchEngine(const BenchEngineOptions& options, Console& console);

}  // namespace autoglm
