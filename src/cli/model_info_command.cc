#include "cli/model_info_command.h"

#include <memory>
#include <ostream>

#include "cli/model_info.h"
#include "cli/parsed_option.h"

namespace autoglm {

void AddModelInfoCommand(CLI::App& app, CommandAction& action) {
  CLI::App* command = app.add_subcommand("info", "Show what a model file holds and how much memory it needs.");
  const auto options = std::make_shared<ModelInfoOptions>();
  AddTextOption(*command, {"FILE", "", "a GGUF file"}, options->file)->required();
  AddFlag(*command, {"--json", "", "as one JSON object"}, options->as_json);
  command->footer(
      "Only the file's header is read, so this is quick for files of any size.\n\n"
      "Examples:\n"
      "  autoglm model info model.gguf\n"
      "  autoglm model info model.gguf --json | jq .context_length");
  command->callback([options, &action] { action = [options](Console& console) { return RunModelInfo(*options, console); }; });
}

Result<int> RunModelInfo(const ModelInfoOptions& options, Console& console) {
  AUTOGLM_TRY(const std::unique_ptr<GgufFile> file, GgufFile::Open(options.file));
  const ModelInfo info = ReadModelInfo(*file, options.file);
  if (options.as_json) {
    console.out << DumpJson(ModelInfoToJson(info)) << '\n';
  } else {
    console.out << FormatModelInfo(info);
  }
  return 0;
}

}  // namespace autoglm
