#include "cli/model_logits_command.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <memory>
#include <ostream>
#include <span>

#include "cli/local_model.h"
#include "cli/parsed_option.h"
#include "cli/sequence_forward.h"
#include "config/values.h"

namespace autoglm {
namespace {

// 9 significant digits bring every float32 back bit for bit. JSON has no infinities: null stands for what is not finite.
std::string LogitsLine(int64_t position, TokenId token, std::span<const float> logits) {
  std::string line = fmt::format(R"({{"position":{},"token":{},"logits":[)", position, token);
  for (size_t i = 0; i < logits.size(); ++i) {
    if (i > 0) line += ',';
    if (std::isfinite(logits[i])) {
      fmt::format_to(std::back_inserter(line), "{:.9g}", logits[i]);
    } else {
      line += "null";
    }
  }
  return line += "]}\n";
}

Result<std::vector<TokenId>> TokensToRun(const LogitsOptions& options, const Tokenizer& tokenizer) {
  if (!options.tokens.empty()) return options.tokens;
  std::vector<TokenId> tokens = tokenizer.Encode(options.text, SpecialTokens::kParse);
  if (tokenizer.add_bos() && tokenizer.has_bos()) tokens.insert(tokens.begin(), tokenizer.bos_token());
  if (tokens.empty()) return Fail(ErrorCode::kInvalidArgument, "the text is empty: nothing to compute");
  return tokens;
}

}  // namespace

void AddLogitsCommand(CLI::App& app, CommandAction& action) {
  CLI::App* command = app.add_subcommand("logits", "Print all logits of every position, as JSON lines.");
  const auto options = std::make_shared<LogitsOptions>();
  AddTextOption(*command, {"MODEL", "", "the model, a GGUF file, a Hugging Face folder or a reference such as hf:ORG/REPO:FILE"},
                options->model)
      ->required();
  CLI::Option_group* input = command->add_option_group("input");
  AddParsedOption<std::vector<TokenId>>(*input, {"--tokens", "IDS", "token ids such as 1,2,3"}, options->tokens,
                                        [](const std::string& text) { return ParseTokenList(text); })
      ->group("Input, one of");
  AddTextOption(*input,
                {"--text", "TEXT", "a text; special tokens in it are parsed, BOS is put in front where the model wants it"},
                options->text)
      ->group("Input, one of");
  input->require_option(1);
  AddComputeOptions(*command, options->compute);
  command->footer(
      "One line per position: {\"position\":0,\"token\":1,\"logits\":[...]}, with 9 significant digits.\n\n"
      "Examples:\n"
      "  autoglm model logits model.gguf --tokens 1,2,3\n"
      "  autoglm model logits model.gguf --text 'The capital of France is' --arithmetic exact | tail -1");
  command->callback([options, &action] { action = [options](Console& console) { return RunLogits(*options, console); }; });
}

Result<int> RunLogits(const LogitsOptions& options, Console& console) {
  AUTOGLM_TRY(const std::filesystem::path path, LocalModel(options.model, console));
  AUTOGLM_TRY(const std::shared_ptr<LoadedModel> model, OpenModel(path, options.compute));
  AUTOGLM_TRY(const std::vector<TokenId> tokens, TokensToRun(options, model->tokenizer()));
  const int64_t model_context = model->lm().config().context_length;
  if (std::ssize(tokens) > model_context) {
    return Fail(ErrorCode::kContextLengthExceeded,
                fmt::format("{} tokens are more than the model's context of {}", tokens.size(), model_context));
  }
  ThreadPool pool(NumThreads(options.compute.threads));
  AUTOGLM_TRY(SequenceForward forward, SequenceForward::Create(model->lm(), pool, std::ssize(tokens)));
  AUTOGLM_TRY_VOID(forward.Run(tokens, [&](int64_t position, std::span<const float> logits) {
    console.out << LogitsLine(position, tokens[position], logits);
  }));
  return 0;
}

}  // namespace autoglm
