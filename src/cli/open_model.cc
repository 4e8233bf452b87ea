#include "cli/open_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "cli/cache_folder.h"
#include "cli/option_values.h"
#include "cli/parsed_option.h"
#include "config/values.h"
#include "weights/gguf_file.h"

namespace autoglm {
namespace {

constexpr std::string_view kDefaultModelFile = "SmolLM2-135M-Instruct.Q4_1.gguf";

}  // namespace

void AddComputeOptions(CLI::App& app, ComputeOptions& options) {
  AddParsedOption<int64_t>(app, {"--threads", "N", "threads to compute with (default: auto, one per processor)"}, options.threads,
                           [](const std::string& text) { return ParseIntegerOrAuto(text, 1024); });
  AddParsedOption<Isa>(app, {"--isa", "ISA", "instruction set: " + IsaChoices() + " (default: auto)"}, options.isa,
                       [](const std::string& text) { return ParseIsa(text); });
  AddParsedOption<Arithmetic>(app,
                              {"--arithmetic", "KIND",
                               "fast: 8-bit activations and BF16 keys and values; mixed: prompts in BF16 where matrix tiles make "
                               "that faster, results then depend on batching; exact: everything in float32 (default: fast)"},
                              options.arithmetic, [](const std::string& text) { return ParseArithmetic(text); });
  AddParsedOption<WeightPrecision>(app,
                                   {"--precision", "KIND",
                                    "as-stored, or int8: F32, F16 and BF16 matrices rounded to 8 bits with a scale for each row "
                                    "(default: as-stored)"},
                                   options.precision, [](const std::string& text) { return ParsePrecision(text); });
  AddParsedOption<std::optional<KvType>>(
      app, {"--kv-type", "TYPE", "keys and values as bf16, int8 or f32 (default: auto, f32 with exact arithmetic, else bf16)"},
      options.kv_type, [](const std::string& text) { return ParseKvType(text); });
  AddParsedOption<std::filesystem::path>(
      app,
      {"--prepared-cache", "FOLDER", "where packed weights of earlier starts are kept: auto, off or a folder (default: auto)"},
      options.prepared_cache.folder, [](const std::string& text) { return ParsePreparedCache(text); });
}

int NumThreads(int64_t threads) {
  if (threads > 0) return static_cast<int>(threads);
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

Result<std::shared_ptr<LoadedModel>> OpenModel(const std::filesystem::path& path, const ComputeOptions& options) {
  Result<std::shared_ptr<LoadedModel>> model = LoadedModel::Load(path, {.isa = options.isa,
                                                                        .arithmetic = options.arithmetic,
                                                                        .precision = options.precision,
                                                                        .kv_type = options.kv_type,
                                                                        .prepared_cache = options.prepared_cache});
  if (model) return model;
  const bool names_file = model.error().message.find(path.string()) != std::string::npos;
  return Fail(model.error().code, (names_file ? "" : path.string() + ": ") + model.error().message);
}

Result<std::unique_ptr<Tokenizer>> OpenTokenizer(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return Tokenizer::FromFolder(path, {});
  AUTOGLM_TRY(const std::unique_ptr<GgufFile> file, GgufFile::Open(path));
  return Tokenizer::FromGguf(*file);
}

Result<std::filesystem::path> FindDefaultModel() {
  std::filesystem::path path = CacheFolder() / kDefaultModelFile;
  std::error_code error;
  if (std::filesystem::is_regular_file(path, error)) return path;
  return Fail(ErrorCode::kNotFound,
              fmt::format("no model given, and the default model is not in {}: name a GGUF file, or fetch it with ./run",
                          path.parent_path().string()));
}

}  // namespace autoglm
