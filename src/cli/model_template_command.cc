#include "cli/model_template_command.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>

#include "base/text_file.h"
#include "cli/local_model.h"
#include "cli/parsed_option.h"
#include "json/json.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer_folder.h"
#include "weights/gguf_file.h"

namespace autoglm {
namespace {

Result<std::string> ReadTemplateSource(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    AUTOGLM_TRY(std::optional<std::string> of_folder, ReadChatTemplateSource(path));
    if (of_folder) return *std::move(of_folder);
    return Fail(ErrorCode::kNotFound, fmt::format("{} has no chat template", path.string()));
  }
  if (path.extension() != ".gguf") return ReadTextFile(path);
  AUTOGLM_TRY(const std::unique_ptr<GgufFile> file, GgufFile::Open(path));
  const std::string* source = file->FindString("tokenizer.chat_template");
  if (source == nullptr) return Fail(ErrorCode::kNotFound, fmt::format("{} has no chat template", path.string()));
  return *source;
}

Result<Json> ParseContext(const std::string& text, const std::string& name) {
  Result<Json> context = ParseJson(text);
  if (!context) return Fail(context.error().code, fmt::format("{}: {}", name, context.error().message));
  if (!context->is_object()) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("{} must hold a JSON object such as {{\"messages\": [...]}}", name));
  }
  return context;
}

}  // namespace

void AddTemplateCommand(CLI::App& app, CommandAction& action) {
  CLI::App* command = app.add_subcommand("template", "Print what a chat template renders.");
  const auto options = std::make_shared<TemplateOptions>();
  AddTextOption(*command, {"SOURCE", "", "a model, or a file with a Jinja template"}, options->source)->required();
  AddTextOption(*command, {"--context", "FILE", "JSON object with the names the template sees; - reads standard input"},
                options->context)
      ->required();
  command->footer(
      "The context is used as it stands: messages, add_generation_prompt, bos_token, tools, ... No line feed is added.\n\n"
      "Examples:\n"
      "  autoglm model template model.gguf --context conversation.json\n"
      "  echo '{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"add_generation_prompt\": true}' |\n"
      "    autoglm model template chat.jinja --context -");
  command->callback([options, &action] { action = [options](Console& console) { return RunTemplate(*options, console); }; });
}

Result<int> RunTemplate(const TemplateOptions& options, Console& console) {
  AUTOGLM_TRY(const std::filesystem::path path, LocalModel(options.source, console));
  AUTOGLM_TRY(std::string source, ReadTemplateSource(path));
  AUTOGLM_TRY(const std::string context_text, ReadTextFileOrStream(options.context, console.in));
  AUTOGLM_TRY(const Json context, ParseContext(context_text, options.context));
  AUTOGLM_TRY(const std::unique_ptr<ChatTemplate> chat_template, ChatTemplate::Parse(std::move(source)));
  AUTOGLM_TRY(const std::string rendered, chat_template->Render(context));
  console.out << rendered;
  return 0;
}

}  // namespace autoglm
