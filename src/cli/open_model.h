#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/result.h"
#include "cli/cache_folder.h"
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
  WeightPrecision precision = WeightPrecision::kAsStored;
  std::optional<KvType> kv_type;  // nullopt: by the arithmetic
  PreparedCacheOptions prepared_cache = {.use = PreparedCacheUse::kRead, .folder = *ParsePreparedCache("auto")};
};

// --threads, --isa, --arithmetic, --precision, --kv-type, --prepared-cache.
void AddComputeOptions(CLI::App& app, ComputeOptions& options);

// 0 becomes the number of processors this process may use.
int NumThreads(int64_t threads);

// Errors: as LoadedModel::Load; the message names the file.
Result<std::shared_ptr<LoadedModel>> OpenModel(const std::filesystem::path& path, const ComputeOptions& options);

// Of a GGUF file or a folder; the weights are not looked at. Errors: as Tokenizer::FromGguf and FromFolder.
Result<std::unique_ptr<Tokenizer>> OpenTokenizer(const std::filesystem::path& path);

// Where ./run keeps the default model: $XDG_CACHE_HOME/autoglm (or ~/.cache/autoglm). Errors: kNotFound, with what to do,
// where it is not there.
Result<std::filesystem::path> FindDefaultModel();

}  // namespace autoglm
