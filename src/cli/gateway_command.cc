#include "cli/gateway_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file_stamp.h"
#include "cli/descriptor_limit.h"
#include "cli/option_values.h"
#include "cli/parsed_option.h"
#include "cli/server_process.h"
#include "cli/signal_watcher.h"
#include "cli/successor.h"
#include "cli/version.h"
#include "config/gateway_config.h"
#include "gateway/gateway.h"
#include "telemetry/log.h"

namespace autoglm {
namespace {

using gateway::Gateway;
using gateway::GatewayConfig;

constexpr std::chrono::milliseconds kLookInterval(1000);  // at the configuration file
constexpr std::chrono::milliseconds kDrainSlice(50);      // how soon a second signal is noticed
constexpr int64_t kOtherDescriptors = 512;

struct GatewayArguments {
  std::filesystem::path file;
  bool only_checks = false;
  bool allows_faults = false;
  std::string log_file;
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kAuto;
};

std::string DescribeConfig(const GatewayConfig& config) {
  size_t num_upstreams = 0;
  for (const gateway::RouteConfig& route : config.routes) num_upstreams += route.upstreams.size();
  return fmt::format("{} route{}, {} upstream{}", config.routes.size(), config.routes.size() == 1 ? "" : "s", num_upstreams,
                     num_upstreams == 1 ? "" : "s");
}

// A gateway at work, until it is told to end.
class RunningGateway {
 public:
  RunningGateway(const GatewayArguments& arguments, Console& console) : arguments_(arguments), console_(console) {}

  Result<int> Run() {
    IgnoreBrokenPipes();
    AUTOGLM_TRY(GatewayConfig config, gateway::LoadGatewayConfig(arguments_.file));
    AUTOGLM_TRY(const auto logging,
                LoggingScope::Start(arguments_.log_file, arguments_.log_level, arguments_.log_format, console_));
    // A connection of a client and one to an upstream for each request.
    RaiseDescriptorLimit(2 * config.limits.max_connections + kOtherDescriptors);
    AUTOGLM_TRY(stamp_, FileStamp::Of(arguments_.file));
    const Inheritance inherited = TakeInheritance();
    std::vector<int> watched = EndingSignals();
    watched.insert(watched.end(), {SIGHUP, SIGUSR2});
    AUTOGLM_TRY(signals_, SignalWatcher::Install(watched));
    drain_timeout_ = config.drain_timeout;
    const std::string description = DescribeConfig(config);
    AUTOGLM_TRY(gateway_, Gateway::Start(std::move(config),
                                         {.allows_faults = arguments_.allows_faults,
                                          .socket = inherited.socket,
                                          .admin_socket = inherited.admin_socket,
                                          .read_config = [this] { return gateway::LoadGatewayConfig(arguments_.file); },
                                          .version = std::string(Version())},
                                         Clock::Real()));
    PrintBanner(description);
    TellPredecessor(inherited);
    Serve();
    return Drain();
  }

 private:
  void PrintBanner(const std::string& description) {
    console_.out << fmt::format("Gateway ready at http://127.0.0.1:{}/v1 ({})\n", gateway_->port(), description);
    if (const auto admin = gateway_->admin_port()) {
      console_.out << fmt::format("Status, metrics: http://127.0.0.1:{}/gateway/status, /metrics\n", *admin);
    }
    console_.out << std::flush;
    Log(LogLevel::kInfo, "gateway_ready", {{"port", int64_t{gateway_->port()}}, {"config", std::string_view(description)}});
  }

  void Serve() {
    for (;;) {
      if (!signals_->Wait(kLookInterval)) {
        ReloadIfChanged();
        continue;
      }
      const std::string signal = signals_->LastSignalName();
      signals_->Take();
      if (signal == "SIGHUP") {
        Reload();
      } else if (signal == "SIGUSR2") {
        StartSuccessor();
      } else {
        return;
      }
    }
  }

  void ReloadIfChanged() {
    const auto now = FileStamp::Of(arguments_.file);
    // A file that is being replaced may be missing for a moment.
    if (!now || !*now || *now == stamp_) return;
    Reload();
  }

  // What is wrong with the new configuration leaves the old one at work.
  void Reload() {
    if (const auto now = FileStamp::Of(arguments_.file)) stamp_ = *now;
    auto config = gateway::LoadGatewayConfig(arguments_.file);
    if (!config) return ReloadFailed(config.error());
    const auto need_restart = gateway_->Reload(*std::move(config));
    if (!need_restart) return ReloadFailed(need_restart.error());
    const std::string later = fmt::format("{}", fmt::join(*need_restart, ", "));
    Log(LogLevel::kInfo, "config_reloaded", {{"needs_restart", std::string_view(later)}});
  }

  static void ReloadFailed(const Error& error) {
    Log(LogLevel::kError, "config_rejected", {{"problem", std::string_view(error.message)}});
  }

  void StartSuccessor() {
    const Status started = autoglm::StartSuccessor({.socket = gateway_->socket(), .admin_socket = gateway_->admin_socket()});
    if (started) {
      Log(LogLevel::kInfo, "successor_started");
    } else {
      Log(LogLevel::kError, "successor_failed", {{"problem", std::string_view(started.error().message)}});
    }
  }

  Result<int> Drain() {
    console_.out << fmt::format("\nFinishing running answers (at most {} s); once more to stop at once.\n",
                                std::chrono::duration<double>(drain_timeout_).count())
                 << std::flush;
    gateway_->BeginDrain();
    Log(LogLevel::kInfo, "drain_started");
    const TimePoint deadline = Clock::Real().Now() + drain_timeout_;
    bool is_drained = false;
    while (!is_drained && signals_->Take() == 0 && Clock::Real().Now() < deadline)
      is_drained = gateway_->WaitUntilDrained(kDrainSlice);
    Log(is_drained ? LogLevel::kInfo : LogLevel::kWarning, "drain_finished", {{"complete", is_drained}});
    console_.out << (is_drained ? "Stopped.\n" : "Stopped; answers that were still running are cut off.\n") << std::flush;
    gateway_.reset();
    return 0;
  }

  const GatewayArguments& arguments_;
  Console& console_;
  std::optional<FileStamp> stamp_;  // of the configuration that was read last
  std::unique_ptr<SignalWatcher> signals_;
  std::chrono::milliseconds drain_timeout_{0};
  std::unique_ptr<Gateway> gateway_;
};

Result<int> CheckConfig(const GatewayArguments& arguments, Console& console) {
  AUTOGLM_TRY(const GatewayConfig config, gateway::LoadGatewayConfig(arguments.file));
  console.out << fmt::format("{}: good ({})\n", arguments.file.string(), DescribeConfig(config));
  return 0;
}

Result<LogFormat> ParseLogFormat(const std::string& text) {
  if (text == "auto") return LogFormat::kAuto;
  if (text == "text") return LogFormat::kText;
  if (text == "json") return LogFormat::kJson;
  return Fail(ErrorCode::kInvalidArgument, "must be auto, text or json");
}

}  // namespace

void AddGatewayCommand(CLI::App& app, CommandAction& action) {
  CLI::App* command = app.add_subcommand("gateway", "Serve a fleet of OpenAI-compatible servers at one address.");
  const auto arguments = std::make_shared<GatewayArguments>();
  command->add_option("FILE", arguments->file, "the configuration, YAML")->required()->type_name("");
  AddFlag(*command, {"--check-config", "", "say what is wrong with the configuration, and end"}, arguments->only_checks);
  AddFlag(*command, {"--allow-faults", "", "let the configuration's faults take effect"}, arguments->allows_faults);
  AddTextOption(*command, {"--log-file", "FILE", "where the log goes (default: standard error)"}, arguments->log_file);
  AddParsedOption<LogLevel>(*command, {"--log-level", "LEVEL", "debug, info, warning or error (default: info)"},
                            arguments->log_level, ParseLogLevel);
  AddParsedOption<LogFormat>(*command, {"--log-format", "FORMAT", "text, json or auto (default: auto)"}, arguments->log_format,
                             ParseLogFormat);
  command->footer(
      "The smallest configuration:\n"
      "  listen: 127.0.0.1:8000\n"
      "  routes:\n"
      "    - upstreams: [http://127.0.0.1:8081, http://127.0.0.1:8082]\n"
      "      policy: least_connections\n\n"
      "A change of the file takes effect within a second, and on SIGHUP. SIGUSR2 starts this binary anew, which takes over\n"
      "without losing a request; SIGTERM lets running answers finish.\n\n"
      "Examples:\n"
      "  autoglm gateway gateway.yaml\n"
      "  autoglm gateway gateway.yaml --check-config");
  command->callback([arguments, &action] {
    action = [arguments](Console& console) -> Result<int> {
      if (arguments->only_checks) return CheckConfig(*arguments, console);
      return RunningGateway(*arguments, console).Run();
    };
  });
}

}  // namespace autoglm
