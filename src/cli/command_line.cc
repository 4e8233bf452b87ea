#include "cli/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "cli/bench_engine_command.h"
#include "cli/chat_command.h"
#include "cli/command.h"
#include "cli/gateway_command.h"
#include "cli/help_formatter.h"
#include "cli/keys_command.h"
#include "cli/metrics_command.h"
#include "cli/model_info_command.h"
#include "cli/model_logits_command.h"
#include "cli/model_perplexity_command.h"
#include "cli/model_quantize_command.h"
#include "cli/model_store_commands.h"
#include "cli/model_template_command.h"
#include "cli/model_tokenize_command.h"
#include "cli/serve_command.h"
#include "cli/slo_command.h"
#include "cli/text_format.h"
#include "cli/top_command.h"
#include "cli/trace_command.h"
#include "cli/version.h"

namespace autoglm {
namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;

void AddModelCommands(CLI::App& app, CommandAction& action) {
  CLI::App* model = app.add_subcommand(
      "model", "Fetch models, look into them, write them in another precision: pull, list, info, perplexity, quantize, ...");
  model->require_subcommand(1);
  AddModelInfoCommand(*model, action);
  AddQuantizeCommand(*model, action);
  AddStoreCommands(*model, action);
  AddTokenizeCommand(*model, action);
  AddTemplateCommand(*model, action);
  AddLogitsCommand(*model, action);
  AddPerplexityCommand(*model, action);
  model->footer(
      "Examples:\n"
      "  autoglm model pull hf:ORG/REPO:model-q4_k_m.gguf\n"
      "  autoglm model info model.gguf\n"
      "  autoglm model tokenize model.gguf --text 'Hello, world!'");
}

void AddBenchCommands(CLI::App& app, CommandAction& action) {
  CLI::App* bench = app.add_subcommand("bench", "Measure this machine and what a model reaches on it: engine.");
  bench->require_subcommand(1);
  AddBenchEngineCommand(*bench, action);
  bench->footer("Example:\n  autoglm bench engine model.gguf");
}

void AddCommands(CLI::App& app, CommandAction& action) {
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_help_flag("-h,--help", "show this help");
  app.set_version_flag("--version", VersionText() + "\n", "show version, compiler and instruction set");
  app.require_subcommand(1);
  AddServeCommand(app, action);
  AddGatewayCommand(app, action);
  AddChatCommand(app, action);
  AddModelCommands(app, action);
  AddKeysCommands(app, action);
  AddTopCommand(app, action);
  AddTraceCommand(app, action);
  AddSloCommands(app, action);
  AddMetricsCommand(app, action);
  AddBenchCommands(app, action);
  app.footer(
      "Examples:\n"
      "  autoglm serve model.gguf\n"
      "  autoglm gateway gateway.yaml\n"
      "  autoglm chat model.gguf\n"
      "  autoglm model info model.gguf\n"
      "\n"
      "'autoglm COMMAND --help' tells more.");
}

// The command that was being parsed, as far as the parser got.
const CLI::App* DeepestParsed(const CLI::App* app) {
  const std::vector<const CLI::App*> parsed = app->get_subcommands([](const CLI::App* sub) { return sub->parsed(); });
  for (const CLI::App* sub : parsed) {
    if (!sub->get_name().empty()) return DeepestParsed(sub);
  }
  return app;
}

// One line, whatever a hostile file wrote into it.
void PrintError(std::string_view message, Console& console) {
  std::string line = StripControlCharacters(message);
  std::ranges::replace(line, '\n', ' ');
  console.err << "autoglm: " << line << "\n";
}

// What is wrong, in our words where CLI11's would not help.
std::string Message(const CLI::App& command, const CLI::ParseError& error) {
  const bool wants_command = !command.get_subcommands([](const CLI::App* sub) { return !sub->get_name().empty(); }).empty();
  if (wants_command && dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    const std::vector<std::string> rest = command.remaining();
    return rest.empty() ? "a command is required" : fmt::format("unknown command '{}'", rest.front());
  }
  // CLI11 ends some messages with a line feed.
  std::string message = error.what();
  while (message.ends_with('\n') || message.ends_with('.')) message.pop_back();
  return message;
}

int ReportParseError(const CLI::App& app, const CLI::ParseError& error, Console& console) {
  if (dynamic_cast<const CLI::CallForVersion*>(&error) != nullptr) {
    console.out << error.what();
    return 0;
  }
  const CLI::App& command = *DeepestParsed(&app);
  if (error.get_exit_code() == 0) {
    console.out << command.help();
    return 0;
  }
  PrintError(fmt::format("{} (see {} --help)", Message(command, error), FullCommandName(command)), console);
  return kExitUsage;
}

}  // namespace

int RunCommandLine(const std::vector<std::string>& arguments, Console& console) {
  CLI::App app("Serve large language models on this machine.", "autoglm");
  CommandAction action;
  AddCommands(app, action);
  if (arguments.empty()) {
    console.err << app.help();
    return kExitUsage;
  }
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them last first
  } catch (const CLI::ParseError& error) {
    return ReportParseError(app, error, console);
  }

  const Result<int> exit_code = action(console);
  if (!exit_code) {
    console.out << std::flush;
    PrintError(exit_code.error().message, console);
    return kExitFailure;
  }
  console.out << std::flush;
  if (!console.out) {
    PrintError("standard output cannot be written", console);
    return kExitFailure;
  }
  return *exit_code;
}

}  // namespace autoglm
