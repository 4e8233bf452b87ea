#include "cli/model_perplexity_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <ostream>
#include <span>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/text_file.h"
#include "cli/local_model.h"
#include "cli/option_values.h"
#include "cli/parsed_option.h"
#include "cli/progress_bar.h"
#include "cli/sequence_forward.h"
#include "cli/text_format.h"
#include "config/values.h"

namespace autoglm {
namespace {

constexpr int64_t kDefaultContextMax = 4096;

// -log softmax(logits)[target], in double.
double NegativeLogLikelihood(std::span<const float> logits, TokenId target) {
  const double max = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - max);
  return max + std::log(sum) - logits[target];
}

struct Score {
  double nll_sum = 0;
  int64_t num_scored = 0;
  int64_t num_windows = 0;
};

// Neighbouring windows share one token, so that every token but the very first is predicted exactly once.
Result<Score> ScoreText(SequenceForward& forward, std::span<const TokenId> tokens, int64_t window, ProgressBar& progress) {
  Score score;
  for (int64_t begin = 0; begin + 1 < std::ssize(tokens); begin += window - 1) {
    const auto part = tokens.subspan(begin, std::min(window, std::ssize(tokens) - begin));
    AUTOGLM_TRY_VOID(forward.Run(part, [&](int64_t position, std::span<const float> logits) {
      if (position + 1 == std::ssize(part)) return;
      score.nll_sum += NegativeLogLikelihood(logits, part[position + 1]);
      progress.Update(++score.num_scored);
    }));
    ++score.num_windows;
  }
  return score;
}

Result<std::vector<TokenId>> EncodeText(const Tokenizer& tokenizer, const std::string& file) {
  AUTOGLM_TRY(const std::string text, ReadTextFile(file));
  std::vector<TokenId> tokens = tokenizer.Encode(text, SpecialTokens::kPlain);
  if (tokenizer.add_bos() && tokenizer.has_bos()) tokens.insert(tokens.begin(), tokenizer.bos_token());
  if (tokens.size() < 2)
    return Fail(ErrorCode::kInvalidArgument, fmt::format("{} is too short: at least two tokens are needed", file));
  return tokens;
}

}  // namespace

void AddPerplexityCommand(CLI::App& app, CommandAction& action) {
  CLI::App* command = app.add_subcommand("perplexity", "Measure how well a model predicts a text.");
  const auto options = std::make_shared<PerplexityOptions>();
  AddTextOption(*command, {"MODEL", "", "the model, a GGUF file, a Hugging Face folder or a reference such as hf:ORG/REPO:FILE"},
                options->model)
      ->required();
  AddTextOption(*command, {"--text", "FILE", "the text, encoded once as a whole"}, options->text_file)->required();
  AddParsedOption<int64_t>(
      *command,
      {"--context", "TOKENS",
       "a longer text is scored in windows of that many tokens (default: auto, the model's context, at most 4096)"},
      options->context, [](const std::string& text) -> Result<int64_t> {
        if (text == "auto") return 0;
        return ParseInteger(text, 2, int64_t{1} << 24);
      });
  AddComputeOptions(*command, options->compute);
  command->footer(
      "Prints exp(mean negative log-likelihood) over all tokens but the first.\n\n"
      "Examples:\n"
      "  autoglm model perplexity model.gguf --text book.txt\n"
      "  autoglm model perplexity model.gguf --text book.txt --arithmetic exact --context 512");
  command->callback([options, &action] { action = [options](Console& console) { return RunPerplexity(*options, console); }; });
}

Result<int> RunPerplexity(const PerplexityOptions& options, Console& console) {
  AUTOGLM_TRY(const std::filesystem::path path, LocalModel(options.model, console));
  AUTOGLM_TRY(const std::shared_ptr<LoadedModel> model, OpenModel(path, options.compute));
  AUTOGLM_TRY(const std::vector<TokenId> tokens, EncodeText(model->tokenizer(), options.text_file));
  const int64_t model_context = model->lm().config().context_length;
  const int64_t context = options.context == 0 ? std::min(model_context, kDefaultContextMax) : options.context;
  if (context > model_context) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("--context {} is more than the model's {} tokens", context, model_context));
  }
  const int64_t window = std::min(context, std::ssize(tokens));
  ThreadPool pool(NumThreads(options.compute.threads));
  AUTOGLM_TRY(SequenceForward forward, SequenceForward::Create(model->lm(), pool, window));

  const Clock& clock = Clock::Real();
  const TimePoint started = clock.Now();
  const auto score = [&] {
    ProgressBar progress(console, clock,
                         {.title = "Scoring", .unit = "tokens", .total = std::ssize(tokens) - 1, .columns = TerminalColumns()});
    return ScoreText(forward, tokens, window, progress);
  }();
  if (!score) return tl::unexpected<Error>(score.error());

  const double elapsed_s = Seconds(clock.Now() - started);
  const double perplexity = std::exp(score->nll_sum / static_cast<double>(score->num_scored));
  console.out << FormatTable({{"perplexity", fmt::format("{:.4f}", perplexity)},
                              {"tokens", fmt::format("{} in {} window{} of up to {}", tokens.size(), score->num_windows,
                                                     score->num_windows == 1 ? "" : "s", window)},
                              {"tokens/s", fmt::format("{:.1f}", static_cast<double>(tokens.size()) / elapsed_s)},
                              {"compute", fmt::format("{} arithmetic, {}, {} threads", ArithmeticName(options.compute.arithmetic),
                                                      IsaName(options.compute.isa), pool.num_threads())}});
  return 0;
}

}  // namespace autoglm
