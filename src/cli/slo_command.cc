#include "cli/slo_command.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "base/atomic_file.h"
#include "cli/parsed_option.h"
#include "cli/slo_text.h"
#include "cli/text_format.h"
#include "cli/url_fetch.h"
#include "config/values.h"
#include "json/json.h"
#include "slo/openslo_writer.h"
#include "slo/prom_status.h"
#include "slo/rules_file.h"
#include "slo/slo_file.h"
#include "slo/slo_lint.h"
#include "slo/slo_status.h"

namespace autoglm {
namespace {

constexpr int kExitErrors = 1;
constexpr int kExitClosed = 1;
constexpr int kExitUnknown = 3;

struct RulesArguments {
  std::string file;
  slo::RulesOptions options;
  bool standard_factors = false;
  std::string output = "-";
  std::string webhook;
};

struct LintArguments {
  std::string file;
  slo::LintOptions options;
  bool standard_factors = false;
  std::string metrics;
  std::string key;
  bool as_json = false;
};

// Where budgets come from.
struct StatusArguments {
  std::string url = "http://127.0.0.1:8080";
  std::string prometheus;
  std::string file;
  std::string key;
  std::string objective;
  bool as_json = false;
};

struct OpenSloArguments {
  std::string file;
  slo::Source source = slo::Source::kServer;
  bool to_json = false;
};

slo::FactorChoice Factors(bool is_standard) { return is_standard ? slo::FactorChoice::kStandard : slo::FactorChoice::kFitted; }

Status WriteWhole(const std::filesystem::path& path, const std::string& text) {
  AUTOGLM_TRY(AtomicFile file, AtomicFile::Create(path));
  AUTOGLM_TRY_VOID(file.Write(std::as_bytes(std::span(text))));
  return file.Commit();
}

Result<int> RunRules(const RulesArguments& arguments, Console& console) {
  AUTOGLM_TRY(const slo::SloFile file, slo::LoadSloFile(arguments.file));
  slo::RulesOptions options = arguments.options;
  options.factors = Factors(arguments.standard_factors);
  Result<slo::RulesFile> rules = slo::WriteRules(file.objectives, options);
  if (!rules) return Fail(rules.error().code, fmt::format("{}: {}", arguments.file, rules.error().message));
  AUTOGLM_TRY(const std::string alertmanager, slo::WriteAlertmanagerConfig(arguments.webhook));
  for (const std::string& note : rules->left_out) console.err << "left out: " << note << "\n";
  if (arguments.output == "-") {
    console.out << rules->yaml;
    if (!arguments.webhook.empty()) console.err << "the configuration of Alertmanager is written with -o FOLDER alone\n";
    return 0;
  }
  const std::filesystem::path folder = arguments.output;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return Fail(ErrorCode::kIo, fmt::format("cannot make {}: {}", folder.string(), error.message()));
  AUTOGLM_TRY_VOID(WriteWhole(folder / "slo.rules.yml", rules->yaml));
  AUTOGLM_TRY_VOID(WriteWhole(folder / "alertmanager.yml", alertmanager));
  console.err << fmt::format("wrote {} and {}\n", (folder / "slo.rules.yml").string(), (folder / "alertmanager.yml").string());
  return 0;
}

Result<int> RunLint(const LintArguments& arguments, Console& console) {
  AUTOGLM_TRY(const slo::SloFile file, slo::LoadSloFile(arguments.file));
  slo::LintOptions options = arguments.options;
  options.factors = Factors(arguments.standard_factors);
  options.now_unix_s = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  if (!arguments.metrics.empty()) {
    AUTOGLM_TRY(const std::string text, FetchUrlOrFile(arguments.metrics, arguments.key));
    options.samples = slo::ParseExposition(text);
  }
  const slo::LintReport report = slo::Lint(file.objectives, options);
  console.out << (arguments.as_json ? DumpJson(slo::ToJson(report)) + "\n" : FormatSloLint(report));
  return report.has_errors() ? kExitErrors : 0;
}

Result<slo::SloStatus> AskServer(const StatusArguments& arguments) {
  const std::string url = UrlOf(arguments.url, "/v1/slo");
  AUTOGLM_TRY(const std::string body, FetchUrl({.url = url, .bearer_token = arguments.key}));
  const Result<Json> json = ParseJson(body);
  if (!json) return Fail(ErrorCode::kUnavailable, fmt::format("{} answers no JSON: {}", url, json.error().message));
  Result<slo::SloStatus> status = slo::StatusFromJson(*json);
  if (!status) return Fail(ErrorCode::kUnavailable, fmt::format("{}: {}", url, status.error().message));
  return status;
}

Result<slo::SloStatus> AskPrometheus(const StatusArguments& arguments, const slo::SloFile& file) {
  const std::string url = UrlOf(arguments.prometheus, "/api/v1/query?query=");
  return slo::StatusFromPrometheus(file, [&](const std::string& query) {
    return FetchUrl({.url = url + PercentEncoded(query), .bearer_token = arguments.key});
  });
}

// What is asked for, of a server or of Prometheus. Errors that are the user's: kInvalidArgument, kNotFound.
Result<slo::SloStatus> FetchStatus(const StatusArguments& arguments) {
  if (arguments.prometheus.empty() != arguments.file.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "--prometheus URL and the file of objectives belong together");
  }
  if (arguments.prometheus.empty()) return AskServer(arguments);
  AUTOGLM_TRY(const slo::SloFile file, slo::LoadSloFile(arguments.file));
  return AskPrometheus(arguments, file);
}

Result<int> RunStatus(const StatusArguments& arguments, Console& console) {
  AUTOGLM_TRY(const slo::SloStatus status, FetchStatus(arguments));
  console.out << (arguments.as_json ? DumpJson(slo::ToJson(status)) + "\n" : FormatSloStatus(status));
  return 0;
}

// The gate of one objective: closed while a page of it fires or its budget is gone.
slo::GateStatus GateOf(const slo::SloStatus& status, const std::string& name) {
  const std::vector<slo::ObjectiveStatus> found = slo::WithName(status.objectives, name);
  if (found.empty()) return {slo::GateStatus::State::kUnknown, fmt::format("there is no objective '{}'", name)};
  return slo::JudgeGate(found, {});
}

// Whatever goes wrong is no reason to let a change through.
Result<int> RunGate(const StatusArguments& arguments, Console& console) {
  using State = slo::GateStatus::State;
  const Result<slo::SloStatus> status = FetchStatus(arguments);
  slo::GateStatus gate{State::kUnknown, ""};
  if (!status) {
    gate.reason = status.error().message;
  } else {
    gate = arguments.objective.empty() ? status->gate : GateOf(*status, arguments.objective);
  }
  if (arguments.as_json) {
    console.out << DumpJson({{"state", GateStateName(gate.state)}, {"reason", gate.reason}}) << "\n";
  } else {
    console.out << StripControlCharacters(fmt::format("{}: {}", GateStateName(gate.state), gate.reason)) << "\n";
  }
  if (gate.state == State::kUnknown) return kExitUnknown;
  return gate.state == State::kClosed ? kExitClosed : 0;
}

Result<int> RunOpenSlo(const OpenSloArguments& arguments, Console& console) {
  AUTOGLM_TRY(const slo::SloFile file, slo::LoadSloFile(arguments.file));
  console.out << (arguments.to_json ? slo::ToJson(file).dump(2) + "\n" : slo::WriteOpenSlo(file, arguments.source));
  return 0;
}

void AddFileOption(CLI::App& command, std::string& file) {
  AddTextOption(command, {"FILE", "", "objectives: slo.json, or OpenSLO v1"}, file)->required();
}

void AddSourceOption(CLI::App& command, slo::Source& source) {
  AddParsedOption<slo::Source>(command, {"--source", "NAME", "whose metrics: server or gateway (default: server)"}, source,
                               [](const std::string& given) { return slo::ParseSource(given); });
}

void AddFactorsOption(CLI::App& command, bool& standard_factors) {
  AddFlag(command, {"--standard-factors", "", "14.4, 6, 3 and 1, also where they cannot fire or take long"}, standard_factors);
}

void AddRulesCommand(CLI::App& slo, CommandAction& action) {
  CLI::App* command = slo.add_subcommand("rules", "Write rules for Prometheus, and a configuration for Alertmanager.");
  const auto arguments = std::make_shared<RulesArguments>();
  AddFileOption(*command, arguments->file);
  AddSourceOption(*command, arguments->options.source);
  AddFactorsOption(*command, arguments->standard_factors);
  AddTextOption(*command, {"-o,--output", "FOLDER", "for slo.rules.yml and alertmanager.yml; - prints the rules (default: -)"},
                arguments->output);
  AddTextOption(*command, {"--webhook", "URL", "whom Alertmanager tells"}, arguments->webhook);
  command->footer(
      "Examples:\n"
      "  autoglm slo rules slo.json\n"
      "  autoglm slo rules slo.json -o /etc/prometheus/slo --webhook http://pager.example/hook");
  command->callback([arguments, &action] { action = [arguments](Console& console) { return RunRules(*arguments, console); }; });
}

void AddLintCommand(CLI::App& slo, CommandAction& action) {
  CLI::App* command =
      slo.add_subcommand("lint", "How soon each alert fires and ends, and which cannot. Exit status 1 on errors.");
  const auto arguments = std::make_shared<LintArguments>();
  AddFileOption(*command, arguments->file);
  AddSourceOption(*command, arguments->options.source);
  AddFactorsOption(*command, arguments->standard_factors);
  AddTextOption(*command, {"--metrics", "URL", "what a server exports, or a file of it: are the buckets there?"},
                arguments->metrics);
  AddTextOption(*command, {"--key", "KEY", "API key, for --metrics"}, arguments->key);
  AddParsedOption<std::optional<double>>(
      *command, {"--requests-per-hour", "N", "traffic to reckon with (default: what --metrics says)"},
      arguments->options.requests_per_hour, [](const std::string& given) -> Result<std::optional<double>> {
        AUTOGLM_TRY(const double number, ParseReal(given, 1e-6, 1e12));
        return number;
      });
  AddFlag(*command, {"--json", "", "as JSON"}, arguments->as_json);
  command->footer(
      "Examples:\n"
      "  autoglm slo lint slo.json --requests-per-hour 200\n"
      "  autoglm slo lint slo.json --metrics http://127.0.0.1:8080/metrics");
  command->callback([arguments, &action] { action = [arguments](Console& console) { return RunLint(*arguments, console); }; });
}

void AddStatusOptions(CLI::App& command, StatusArguments& arguments) {
  AddTextOption(command, {"--url", "URL", "of a server that counts objectives (default: http://127.0.0.1:8080)"}, arguments.url);
  AddTextOption(command, {"--prometheus", "URL", "of a Prometheus with the rules of FILE, in place of a server"},
                arguments.prometheus);
  AddTextOption(command, {"FILE", "", "with --prometheus: the objectives"}, arguments.file);
  AddTextOption(command, {"--key", "KEY", "API key (default: $AUTOGLM_API_KEY)"}, arguments.key)->envname("AUTOGLM_API_KEY");
  AddFlag(command, {"--json", "", "as JSON"}, arguments.as_json);
}

void AddStatusCommand(CLI::App& slo, CommandAction& action) {
  CLI::App* command = slo.add_subcommand("status", "What is left of the error budgets.");
  const auto arguments = std::make_shared<StatusArguments>();
  AddStatusOptions(*command, *arguments);
  command->footer(
      "Examples:\n"
      "  autoglm slo status\n"
      "  autoglm slo status --prometheus http://prometheus:9090 slo.json");
  command->callback([arguments, &action] { action = [arguments](Console& console) { return RunStatus(*arguments, console); }; });
}

void AddGateCommand(CLI::App& slo, CommandAction& action) {
  CLI::App* command = slo.add_subcommand("gate", "May a change go out? Exit status 0: open, 1: closed, 3: not known.");
  const auto arguments = std::make_shared<StatusArguments>();
  AddStatusOptions(*command, *arguments);
  AddTextOption(*command, {"--objective", "NAME", "of this one alone, by name or id (default: as the file's gate says)"},
                arguments->objective);
  command->footer("Example:\n  autoglm slo gate --url http://chat.example:8080 && ./deploy.sh");
  command->callback([arguments, &action] { action = [arguments](Console& console) { return RunGate(*arguments, console); }; });
}

void AddOpenSloCommand(CLI::App& slo, CommandAction& action) {
  CLI::App* command = slo.add_subcommand("openslo", "Objectives as OpenSLO v1, and back.");
  const auto arguments = std::make_shared<OpenSloArguments>();
  AddFileOption(*command, arguments->file);
  AddSourceOption(*command, arguments->source);
  AddFlag(*command, {"--to-json", "", "as slo.json"}, arguments->to_json);
  command->footer("Examples:\n  autoglm slo openslo slo.json > slo.yaml\n  autoglm slo openslo slo.yaml --to-json");
  command->callback([arguments, &action] { action = [arguments](Console& console) { return RunOpenSlo(*arguments, console); }; });
}

}  // namespace

void AddSloCommands(CLI::App& app, CommandAction& action) {
  CLI::App* slo = app.add_subcommand("slo", "Service level objectives: rules, lint, status, gate, openslo.");
  slo->require_subcommand(1);
  AddRulesCommand(*slo, action);
  AddLintCommand(*slo, action);
  AddStatusCommand(*slo, action);
  AddGateCommand(*slo, action);
  AddOpenSloCommand(*slo, action);
  slo->footer(
      "Examples:\n"
      "  autoglm slo lint slo.json\n"
      "  autoglm slo rules slo.json -o rules/\n"
      "  autoglm slo gate --url http://127.0.0.1:8080");
}

}  // namespace autoglm
