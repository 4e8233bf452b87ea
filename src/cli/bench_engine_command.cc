#include "cli/bench_engine_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <ostream>
#include <utility>

#include "base/clock.h"
#include "cli/local_model.h"
#include "cli/option_values.h"
#include "cli/parsed_option.h"
#include "cli/text_format.h"
#include "cli/version.h"
#include "config/values.h"
#include "json/json.h"

namespace autoglm {
namespace {

constexpr int64_t kMaxTokens = int64_t{1} << 20;
constexpr int64_t kMaxBatch = 4096;

std::string_view KindName(EngineBenchResult::Kind kind) {
  return kind == EngineBenchResult::Kind::kPrefill ? "prefill" : "decode";
}

Json ToJson(const EngineBenchResult& result) {
  const auto [least, most] = std::ranges::minmax(result.tokens_per_s);
  return {{"kind", KindName(result.kind)},
          {"tokens", result.tokens},
          {"batch", result.batch},
          {"depth", result.depth},
          {"tokens_per_s", result.median()},
          {"tokens_per_s_min", least},
          {"tokens_per_s_max", most},
          {"samples", result.tokens_per_s},
          {"limit_tokens_per_s", result.limit_tokens_per_s},
          {"bound", result.bound == Bound::kMemory ? "memory" : "compute"},
          {"share_of_limit", result.share_of_limit()}};
}

void PrintJson(const BenchEngineOptions& options, const CausalLm& lm, int num_threads, const MachinePeaks& peaks,
               const std::vector<EngineBenchResult>& results, std::ostream& out) {
  Json json = {{"model", lm.config().name},
               {"architecture", lm.config().architecture},
               {"weight_bytes", lm.weight_bytes()},
               {"version", VersionText()},
               {"threads", num_threads},
               {"isa", IsaName(options.compute.isa)},
               {"arithmetic", ArithmeticName(options.compute.arithmetic)},
               {"kv_type", KvTypeName(lm.kv_layout().type)},
               {"peaks",
                {{"int8_ops_per_s", peaks.int8_ops_per_s},
                 {"int16_ops_per_s", peaks.int16_ops_per_s},
                 {"bf16_ops_per_s", peaks.bf16_ops_per_s},
                 {"f32_ops_per_s", peaks.f32_ops_per_s},
                 {"read_bytes_per_s", peaks.read_bytes_per_s}}},
               {"results", Json::array()}};
  for (const EngineBenchResult& result : results) json["results"].push_back(ToJson(result));
  out << json.dump(2) << "\n";
}

void PrintTable(const BenchEngineOptions& options, const CausalLm& lm, int num_threads, const MachinePeaks& peaks,
                const std::vector<EngineBenchResult>& results, std::ostream& out) {
  const auto giga = [](double per_s, std::string_view unit) { return fmt::format("{:.0f} {}", per_s / 1e9, unit); };
  out << FormatTable({{"weights", FormatBytes(lm.weight_bytes())},
                      {"compute", fmt::format("{} arithmetic, {}, {} threads, keys and values in {}",
                                              ArithmeticName(options.compute.arithmetic), IsaName(options.compute.isa),
                                              num_threads, KvTypeName(lm.kv_layout().type))},
                      {"peaks", fmt::format("INT8 {}, INT16 {}, BF16 {}, FP32 {}, reading {:.1f} GB/s",
                                            giga(peaks.int8_ops_per_s, "GOP/s"), giga(peaks.int16_ops_per_s, "GOP/s"),
                                            giga(peaks.bf16_ops_per_s, "GFLOP/s"), giga(peaks.f32_ops_per_s, "GFLOP/s"),
                                            peaks.read_bytes_per_s / 1e9)}})
      << "\n"
      << fmt::format("  {:<8} {:>6} {:>6} {:>6} {:>10} {:>17} {:>10} {:>8}\n", "kind", "tokens", "batch", "depth", "tokens/s",
                     "range", "limit", "share");
  for (const EngineBenchResult& result : results) {
    const auto [least, most] = std::ranges::minmax(result.tokens_per_s);
    out << fmt::format("  {:<8} {:>6} {:>6} {:>6} {:>10.1f} {:>17} {:>10.1f} {:>6.0f} % of {}\n", KindName(result.kind),
                       result.tokens, result.batch, result.depth, result.median(), fmt::format("{:.1f}-{:.1f}", least, most),
                       result.limit_tokens_per_s, 100 * result.share_of_limit(),
                       result.bound == Bound::kMemory ? "memory" : "compute");
  }
}

void AddListOption(CLI::App& app, OptionText text, std::vector<int64_t>& target, int64_t min, int64_t max) {
  AddParsedOption<std::vector<int64_t>>(app, std::move(text), target,
                                        [min, max](const std::string& list) { return ParseIntegerList(list, min, max); });
}

}  // namespace

void AddBenchEngineCommand(CLI::App& app, CommandAction& action) {
  CLI::App* command = app.add_subcommand("engine", "Measure how fast this machine computes a model, and how fast it could.");
  const auto options = std::make_shared<BenchEngineOptions>();
  EngineBenchOptions& bench = options->bench;
  AddTextOption(*command, {"MODEL", "", "the model, a GGUF file, a Hugging Face folder or a reference such as hf:ORG/REPO:FILE"},
                options->model)
      ->required();
  AddListOption(*command, {"--prefill", "LIST", "lengths of prompts to compute, in tokens (default: 512)"}, bench.prefill, 1,
                kMaxTokens);
  AddParsedOption<int64_t>(*command, {"--decode", "N", "tokens that each sequence writes; 0: decode nothing (default: 64)"},
                           bench.decode, [](const std::string& text) { return ParseInteger(text, 0, kMaxTokens); });
  AddListOption(*command, {"--depth", "LIST", "tokens in a sequence's context before it writes (default: 0)"}, bench.depth, 0,
                kMaxTokens);
  AddListOption(*command, {"--batch", "LIST", "sequences that write together (default: 1)"}, bench.batch, 1, kMaxBatch);
  AddParsedOption<int64_t>(*command,
                           {"--step-tokens", "N", "tokens of a prompt that go through the model at once (default: 512)"},
                           bench.step_tokens, [](const std::string& text) { return ParseInteger(text, 1, kMaxTokens); });
  AddParsedOption<int64_t>(*command, {"--repetitions", "N", "how often to measure everything (default: 5)"}, bench.repetitions,
                           [](const std::string& text) { return ParseInteger(text, 1, 1000); });
  AddFlag(*command, {"--json", "", "print JSON, with every sample"}, options->json);
  AddComputeOptions(*command, options->compute);
  command->footer(
      "Prints the median of each figure, its range, and its share of the limit: the time in which the\n"
      "machine, at the peaks measured before and after, could multiply (compute) or read (memory) all there is.\n\n"
      "Examples:\n"
      "  autoglm bench engine model.gguf\n"
      "  autoglm bench engine model.gguf --prefill 512,4096 --batch 1,4,8 --depth 0,4096 --json");
  command->callback([options, &action] { action = [options](Console& console) { return RunBenchEngine(*options, console); }; });
}

Result<int> RunBenchEngine(const BenchEngineOptions& options, Console& console) {
  AUTOGLM_TRY(const std::filesystem::path path, LocalModel(options.model, console));
  AUTOGLM_TRY(const std::shared_ptr<LoadedModel> model, OpenModel(path, options.compute));
  ThreadPool pool(NumThreads(options.compute.threads));
  const auto report = [&console](std::string_view what) {
    if (console.err_is_terminal) console.err << fmt::format("\r\x1b[K{}", what) << std::flush;
  };
  report("measuring the machine");
  const KernelTable& kernels = GetKernels(options.compute.isa);
  const MachinePeaks before = MeasurePeaks(kernels, pool);
  Result<std::vector<EngineBenchResult>> results = RunEngineBench(model->lm(), pool, options.bench, report);
  report("");
  if (!results) return tl::unexpected<Error>(results.error());
  const MachinePeaks peaks = MachinePeaks::BestOf(before, MeasurePeaks(kernels, pool));
  SetLimits(model->lm(), peaks, options.bench, *results);
  if (options.json) {
    PrintJson(options, model->lm(), pool.num_threads(), peaks, *results, console.out);
  } else {
    PrintTable(options, model->lm(), pool.num_threads(), peaks, *results, console.out);
  }
  return 0;
}

}  // namespace autoglm
