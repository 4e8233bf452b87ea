#include "cli/model_info_command.h"

#include <filesystem>
#include <memory>
#include <ostream>

#include "cli/local_model.h"
#include "cli/model_info.h"
#include "cli/parsed_option.h"

namespace autoglm {

namespace {

Result<ModelInfo> ReadInfo(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return ReadFolderInfo(path);
  AUTOGLM_TRY(const std::unique_ptr<GgufFile> file, GgufFile::Open(path));
  return ReadModelInfo(*file, path.string());
}

}  // namespace

void AddModelInfoCommand(CLI::App& app, CommandAction& action) {
  CLI::App* command = app.add_subcommand("info", "Show what a model file holds and how much memory it needs.");
  const auto options = std::make_shared<ModelInfoOptions>();
  AddTextOption(*command, {"MODEL", "", "a GGUF file or a Hugging Face folder"}, options->file)->required();
  AddFlag(*command, {"--json", "", "as one JSON object"}, options->as_json);
  command->footer(
      "Only headers are read, so this is quick for files of any size.\n\n"
      "Examples:\n"
      "  autoglm model info model.gguf\n"
      "  autoglm model info model.gguf --json | jq .context_length");
  command->callback([options, &action] { action = [options](Console& console) { return RunModelInfo(*options, console); }; });
}

Result<int> RunModelInfo(const ModelInfoOptions& options, Console& console) {
  AUTOGLM_TRY(const std::filesystem::path path, LocalModel(options.file, console));
  AUTOGLM_TRY(const ModelInfo info, ReadInfo(path));
  if (options.as_json) {
    console.out << DumpJson(ModelInfoToJson(info)) << '\n';
  } else {
    console.out << FormatModelInfo(info);
  }
  return 0;
}

}  // namespace autoglm
