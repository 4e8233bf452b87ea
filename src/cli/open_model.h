#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "base/result.h"
#include "base/thread_pool.h"
#include "engine/loaded_model.h"
#include "kernels/isa.h"

namespace CLI {
class App;
}

namespace autoglm {

// What every command that computes with a model can be told.
struct ComputeOptions {
  int64_t threads = 0;  // 0: one per processor
  Isa isa = DetectIsa();
  Arithmetic arithmetic = Arithmetic::kFast;
};

// --threads, --isa, --arithmetic.
void AddComputeOptions(CLI::App& app, ComputeOptions& options);

// 0 becomes the number of processors this process may use.
int NumThreads(int64_t threads);

// A model and the threads that loaded it, which can also run it where there is no engine.
struct OpenedModel {
  std::unique_ptr<ThreadPool> pool;
  std::shared_ptr<LoadedModel> model;
};

// Errors: as LoadedModel::Load; the message names the file.
Result<OpenedModel> OpenModel(const std::filesystem::path& path, const ComputeOptions& options);

// Where ./run keeps the default model: $XDG_CACHE_HOME/autoglm (or ~/.cache/autoglm). Errors: kNotFound, with what to do,
// where it is not there.
Result<std::filesystem::path> FindDefaultModel();

}  // namespace autoglm
