#include "cli/model_quantize_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <memory>
#include <numeric>
#include <ostream>
#include <system_error>

#include "base/clock.h"
#include "base/thread_pool.h"
#include "cli/local_model.h"
#include "cli/open_model.h"
#include "cli/parsed_option.h"
#include "cli/progress_bar.h"
#include "cli/text_format.h"
#include "config/values.h"
#include "engine/loaded_model.h"
#include "models/folder_config.h"
#include "models/gguf_export.h"
#include "tokenizer/gguf_tokenizer_export.h"
#include "weights/gguf_file.h"
#include "weights/quantize_file.h"
#include "weights/safetensors_folder.h"

namespace autoglm {
namespace {

// Before anything is read: hours of work must not end in a refusal.
Status CheckTarget(const QuantizeOptions& options) {
  std::error_code error;
  if (std::filesystem::equivalent(options.source, options.target, error)) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("{} is the source itself: write to another file", options.target));
  }
  const std::filesystem::file_status status = std::filesystem::status(options.target, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("{} is a folder or a device: name a file", options.target));
  }
  if (!options.overwrites && std::filesystem::exists(options.target, error)) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("{} is there already; --force replaces it", options.target));
  }
  return {};
}

// What is read, kept open while it is.
struct Source {
  std::unique_ptr<TensorSource> tensors;
  GgufModel model;
};

Result<Source> OpenFolder(const std::filesystem::path& path) {
  AUTOGLM_TRY(std::unique_ptr<SafetensorsFolder> folder, SafetensorsFolder::Open(path));
  AUTOGLM_TRY(const FolderConfig config, ReadFolderConfig(path));
  AUTOGLM_TRY(GgufModel model, ExportModel(*folder, config.config, ModelNameOf(path)));
  AUTOGLM_TRY(auto tokenizer, ExportTokenizer(path, config.eos_tokens, config.config.vocab_size));
  std::ranges::move(tokenizer, std::back_inserter(model.metadata));
  return Source{.tensors = std::move(folder), .model = std::move(model)};
}

Result<Source> OpenSource(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return OpenFolder(path);
  AUTOGLM_TRY(std::unique_ptr<GgufFile> file, GgufFile::Open(path));
  AUTOGLM_TRY(GgufModel model, ModelOfFile(*file));
  return Source{.tensors = std::move(file), .model = std::move(model)};
}

int64_t NumWeights(const GgufModel& model) {
  int64_t total = 0;
  for (const RowTensor& tensor : model.tensors) {
    total += std::accumulate(tensor.shape.begin(), tensor.shape.end(), int64_t{1}, std::multiplies<>());
  }
  return total;
}

std::string Sizes(const QuantizeReport& report) {
  return fmt::format("{} from {}, {:.2f} bits a weight", FormatBytes(report.num_bytes), FormatBytes(report.num_bytes_before),
                     8.0 * static_cast<double>(report.num_bytes) / static_cast<double>(std::max<int64_t>(report.num_weights, 1)));
}

}  // namespace

void AddQuantizeCommand(CLI::App& app, CommandAction& action) {
  CLI::App* command = app.add_subcommand("quantize", "Write a model in fewer (or more) bits, as a GGUF file.");
  const auto options = std::make_shared<QuantizeOptions>();
  AddTextOption(*command, {"SRC", "", "the model: a GGUF file, a Hugging Face folder or a reference such as hf:ORG/REPO"},
                options->source)
      ->required();
  AddTextOption(*command, {"DST", "", "the GGUF file to write; it appears whole or not at all"}, options->target)->required();
  AddParsedOption<QuantTarget>(*command,
                               {"--to", "TYPE", "f32, f16, bf16, q8_0, int8, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k or iq4_nl"},
                               options->to, [](const std::string& text) { return ParseQuantTarget(text); })
      ->required();
  AddParsedOption<int64_t>(*command, {"--threads", "N", "threads to compute with (default: auto, one per processor)"},
                           options->threads, [](const std::string& text) { return ParseIntegerOrAuto(text, 1024); });
  AddFlag(*command, {"--force", "", "replace DST if it is there"}, options->overwrites);
  command->footer(
      "Matrices are written in the type, vectors in F32. Below 8 bits the head is Q6_K; q4_k and q5_k also\n"
      "spend Q6_K on values and down projections of about half the layers (llama.cpp calls these mixtures\n"
      "Q4_K_M and Q5_K_M). Rows that are no multiple of 256 get the nearest type that fits. int8 is Q8_0\n"
      "with one scale for each row. docs/PRECISION.md compares the types.\n\n"
      "A folder needs a tokenizer.json with byte-level BPE; what a GGUF file cannot say is refused.\n\n"
      "Start from the most precise file there is: what an earlier quantising lost does not come back.\n\n"
      "Examples:\n"
      "  autoglm model quantize model-f16.gguf model-q4_k.gguf --to q4_k\n"
      "  autoglm model quantize glm-4-9b/ glm-4-9b-q8_0.gguf --to q8_0 --threads 4");
  command->callback([options, &action] { action = [options](Console& console) { return RunQuantize(*options, console); }; });
}

Result<int> RunQuantize(const QuantizeOptions& options, Console& console) {
  AUTOGLM_TRY_VOID(CheckTarget(options));
  AUTOGLM_TRY(const std::filesystem::path path, LocalModel(options.source, console));
  AUTOGLM_TRY(const Source source, OpenSource(path));
  ThreadPool pool(NumThreads(options.threads));
  const Clock& clock = Clock::Real();
  const TimePoint started = clock.Now();
  const Result<QuantizeReport> report = [&] {
    constexpr int64_t kMillion = 1'000'000;
    ProgressBar progress(console, clock,
                         {.title = "Quantising",
                          .unit = "million weights",
                          .total = std::max<int64_t>(NumWeights(source.model) / kMillion, 1),
                          .columns = TerminalColumns()});
    return QuantizeModel(source.model, options.target, options.to, pool,
                         [&](int64_t weights) { progress.Update(weights / kMillion); });
  }();
  if (!report) return tl::unexpected<Error>(report.error());
  if (report->was_quantised_before && Info(options.to).type != DType::kF32) {
    console.err << "autoglm: warning: the source was quantised already; what that lost is lost, and this loses some more\n";
  }
  std::vector<std::pair<std::string, std::string>> rows = {{"file", options.target}, {"size", Sizes(*report)}};
  if (report->num_fallbacks > 0) {
    rows.emplace_back("fallback",
                      fmt::format("{} tensors whose rows do not fit {}'s blocks", report->num_fallbacks, Info(options.to).name));
  }
  rows.emplace_back("time", FormatSeconds(Seconds(clock.Now() - started)));
  console.out << FormatTable(rows);
  return 0;
}

}  // namespace autoglm
