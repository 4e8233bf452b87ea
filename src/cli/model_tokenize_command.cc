#include "cli/model_tokenize_command.h"

#include <fmt/format.h>

#include <memory>
#include <ostream>
#include <vector>

#include "base/text_file.h"
#include "cli/local_model.h"
#include "cli/open_model.h"
#include "cli/parsed_option.h"
#include "json/json.h"
#include "weights/gguf_file.h"

namespace autoglm {
namespace {

std::string IdsLine(const std::vector<TokenId>& tokens) { return fmt::format("{}\n", fmt::join(tokens, ",")); }

std::string Table(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
  std::string text;
  for (const TokenId token : tokens)
    text += fmt::format("{:>8}  {}\n", token, DumpJson(std::string(tokenizer.TokenSpelling(token))));
  return text;
}

std::string JsonLine(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
  Json pieces = Json::array();
  for (const TokenId token : tokens) pieces.push_back(std::string(tokenizer.TokenSpelling(token)));
  return DumpJson({{"count", tokens.size()}, {"ids", tokens}, {"pieces", pieces}}) + "\n";
}

}  // namespace

void AddTokenizeCommand(CLI::App& app, CommandAction& action) {
  CLI::App* command = app.add_subcommand("tokenize", "Show the tokens of a text.");
  const auto options = std::make_shared<TokenizeOptions>();
  AddTextOption(*command, {"MODEL", "", "the model, a GGUF file, a Hugging Face folder or a reference such as hf:ORG/REPO:FILE"},
                options->model)
      ->required();
  command
      ->add_option_function<std::string>(
          "--text", [options](const std::string& text) { options->text = text; },
          "the text (default: standard input, to its end)")
      ->type_name("TEXT");
  AddFlag(*command, {"--parse-special", "", "spellings such as <|im_end|> stand for special tokens, not for their characters"},
          options->parse_special);
  CLI::Option* ids = command->add_flag_callback(
      "--ids", [options] { options->format = TokenizeOptions::Format::kIds; }, "only the ids, as 1,2,3");
  command
      ->add_flag_callback(
          "--json", [options] { options->format = TokenizeOptions::Format::kJson; }, "count, ids and pieces as JSON")
      ->excludes(ids);
  command->footer(
      "No BOS token is put in front.\n\n"
      "Examples:\n"
      "  autoglm model tokenize model.gguf --text 'Hello, world!'\n"
      "  autoglm model tokenize model.gguf --ids < book.txt\n"
      "  autoglm model tokenize model.gguf --text '<|im_start|>user' --parse-special --json");
  command->callback([options, &action] { action = [options](Console& console) { return RunTokenize(*options, console); }; });
}

Result<int> RunTokenize(const TokenizeOptions& options, Console& console) {
  AUTOGLM_TRY(const std::filesystem::path path, LocalModel(options.model, console));
  AUTOGLM_TRY(const std::unique_ptr<Tokenizer> tokenizer, OpenTokenizer(path));
  std::string text;
  if (options.text) {
    text = *options.text;
  } else {
    AUTOGLM_TRY(text, ReadTextFileOrStream("-", console.in));
  }
  const SpecialTokens specials = options.parse_special ? SpecialTokens::kParse : SpecialTokens::kPlain;
  const std::vector<TokenId> tokens = tokenizer->Encode(text, specials);
  switch (options.format) {
    case TokenizeOptions::Format::kTable:
      console.out << Table(*tokenizer, tokens);
      break;
    case TokenizeOptions::Format::kIds:
      console.out << IdsLine(tokens);
      break;
    case TokenizeOptions::Format::kJson:
      console.out << JsonLine(*tokenizer, tokens);
      break;
  }
  return 0;
}

}  // namespace autoglm
