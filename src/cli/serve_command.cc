#include "cli/serve_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <ostream>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cli/descriptor_limit.h"
#include "cli/local_model.h"
#include "cli/open_model.h"
#include "cli/parsed_option.h"
#include "cli/serve_banner.h"
#include "cli/server_process.h"
#include "cli/signal_watcher.h"
#include "cli/version.h"
#include "config/host_port.h"
#include "console/slo_options.h"
#include "engine/model_registry.h"
#include "kvevents/endpoint.h"
#include "kvevents/event_publisher.h"
#include "server/api_server.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"
#include "tracing/tracing_options.h"

namespace autoglm {
namespace {

constexpr std::chrono::milliseconds kForever(-1);
constexpr std::chrono::milliseconds kDrainSlice(50);  // how soon a second signal is noticed

// Files beside the connections that are served: connections on their way to a 503, the model, the log, the event loops.
constexpr int64_t kOtherDescriptors = 512;
constexpr int64_t kMinConnections = 16;

// As many as the server wants, but not more than it may open: the ones beyond would wait without an answer.
int64_t MaxConnections() {
  const int64_t wanted = http::ServerOptions().max_connections;
  return std::clamp(RaiseDescriptorLimit(wanted + kOtherDescriptors) - kOtherDescriptors, kMinConnections, wanted);
}

// A server that anybody can reach asks who it is, or is told that it need not.
Status CheckDoor(const ServeConfig& config, const Authenticator& authenticator, Console& console) {
  if (!authenticator.is_open() || IsLoopback(config.host)) return {};
  if (!config.serves_anybody_anywhere) return Fail(ErrorCode::kInvalidArgument, OpenDoorRefusal(config.host));
  console.err << ExposedWarning(config.host) << std::flush;
  return {};
}

ApiServerOptions ApiOptionsOf(const ServeConfig& config, std::shared_ptr<const Authenticator> authenticator) {
  ApiServerOptions options;
  options.authenticator = std::move(authenticator);
  options.http.host = config.host;
  options.http.port = static_cast<uint16_t>(config.port);
  options.http.max_body_bytes = config.max_body_bytes;
  options.http.max_connections = MaxConnections();
  options.version = Version();
  options.generation.slo_classes = config.slo_classes;
  options.generation.degradation = config.degradation;
  options.public_prefixes = config.public_prefixes;
  options.request_log.num_records = static_cast<size_t>(config.request_records);
  if (!config.kv_disk.empty()) options.contexts.folder = config.kv_disk / "contexts";
  return options;
}

EngineOptions EngineOptionsOf(const ServeConfig& config, const ServedModelConfig& model) {
  return {.num_threads = NumThreads(config.threads),
          .context_length = model.context.value_or(config.context),
          .kv_memory_bytes = model.kv_memory_bytes.value_or(config.kv_memory_bytes),
          .budget = {.max_tokens = config.max_batch_tokens,
                     .max_tokens_with_decode = config.max_batch_tokens_decode,
                     .prompt_seconds_with_decode = static_cast<double>(config.inter_token_slo_ms) / 1000},
          .max_running = config.max_running,
          .max_waiting = config.max_queue,
          .max_queue_seconds = static_cast<double>(config.max_queue_seconds),
          .speculates = config.speculates,
          .priority_step = std::chrono::seconds(config.priority_step_s),
          .kv_tier = {.compressed_bytes = config.kv_compressed_bytes,
                      .disk = {.folder = config.kv_disk, .max_bytes = config.kv_disk_bytes}}};
}

ModelSpec SpecOf(const ServeConfig& config, const ServedModelConfig& model) {
  return {.name = NameOf(model),
          .aliases = model.aliases,
          .path = model.path,
          .load = {.isa = config.isa,
                   .arithmetic = config.arithmetic,
                   .precision = model.precision.value_or(config.precision),
                   .kv_type = config.kv_type,
                   .prepared_cache = {.folder = config.prepared_cache, .max_bytes = config.prepared_cache_bytes}},
          .engine = EngineOptionsOf(config, model)};
}

int64_t MemoryBudget(const ServeConfig& config) {
  if (config.memory_budget_bytes) return *config.memory_budget_bytes;
  const int64_t machine = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<int64_t>(sysconf(_SC_PAGESIZE));
  return machine / 10 * 9;
}

void LogModelEvent(const ModelEvent& event) {
  switch (event.kind) {
    case ModelEvent::Kind::kLoaded:
      return Log(LogLevel::kInfo, "model_loaded",
                 {{"model", event.model}, {"seconds", event.load_seconds}, {"memory_bytes", event.memory_bytes}});
    case ModelEvent::Kind::kUnloaded:
      return Log(LogLevel::kInfo, "model_unloaded",
                 {{"model", event.model}, {"evicted", event.was_evicted}, {"kept_bytes", event.memory_bytes}});
    case ModelEvent::Kind::kFailed:
      return Log(LogLevel::kError, "model_load_failed", {{"model", event.model}, {"problem", event.problem}});
  }
}

Result<std::shared_ptr<const Authenticator>> MakeAuthenticator(const ServeConfig& config) {
  const AuthHooks hooks{.on_problem = [](const Error& error) {
    Log(LogLevel::kError, "keys_unreadable", {{"problem", std::string_view(error.message)}});
  }};
  AUTOGLM_TRY(std::unique_ptr<Authenticator> authenticator, Authenticator::Create(config.auth, Clock::Real(), hooks));
  return std::shared_ptr<const Authenticator>(std::move(authenticator));
}

// One for each model, because its events have numbers of their own.
Status StartEvents(const ServeConfig& config, std::vector<ModelSpec>& specs) {
  if (config.kv_events.empty() && !config.kv_events_replay.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "--kv-events-replay brings what was missed of --kv-events, which is off");
  }
  if (config.kv_events.empty()) return {};
  constexpr std::string_view kModelMark = "{model}";
  for (size_t i = 0; i < specs.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    EventPublisherOptions options{.endpoint = EndpointOfModel(config.kv_events, index), .topic = config.kv_events_topic};
    if (!config.kv_events_replay.empty()) options.replay_endpoint = EndpointOfModel(config.kv_events_replay, index);
    if (const size_t at = options.topic.find(kModelMark); at != std::string::npos) {
      options.topic.replace(at, kModelMark.size(), specs[i].name);
    }
    AUTOGLM_TRY(specs[i].engine.kv_events, EventPublisher::Start(std::move(options)));
  }
  return {};
}

Result<std::shared_ptr<ModelRegistry>> MakeRegistry(const ServeConfig& config) {
  std::vector<ModelSpec> specs;
  specs.reserve(config.models.size());
  for (const ServedModelConfig& model : config.models) specs.push_back(SpecOf(config, model));
  if (!config.served_model_names.empty()) {
    specs.front().name = config.served_model_names.front();
    specs.front().aliases.assign(config.served_model_names.begin() + 1, config.served_model_names.end());
  }
  AUTOGLM_TRY_VOID(StartEvents(config, specs));
  const RegistryOptions options{.num_threads = NumThreads(config.threads),
                                .memory_budget_bytes = MemoryBudget(config),
                                .idle_unload = std::chrono::seconds(config.idle_unload_s),
                                .max_waiting = config.max_queue,
                                .on_event = LogModelEvent};
  AUTOGLM_TRY(std::unique_ptr<ModelRegistry> registry, ModelRegistry::Create(std::move(specs), options, Clock::Real()));
  return std::shared_ptr<ModelRegistry>(std::move(registry));
}

// Names of models that settings mention.
Status CheckNames(const ServeConfig& config, const ModelRegistry& registry) {
  if (!config.degradation.smaller_model.empty()) AUTOGLM_TRY_VOID(registry.Resolve(config.degradation.smaller_model));
  for (const PublicPrefix& prefix : config.public_prefixes) {
    const auto resolved = registry.Resolve(prefix.model);
    if (!resolved)
      return Fail(ErrorCode::kInvalidArgument, fmt::format("{}: model: {}", prefix.origin, resolved.error().message));
  }
  return {};
}

Status PreloadModel(ModelRegistry& registry, const std::string& name) {
  std::promise<Status> loaded;
  registry.Acquire(name, [&](const Result<ModelRegistry::Lease>& lease) {
    loaded.set_value(lease ? Status() : tl::unexpected<Error>(lease.error()));
  });
  return loaded.get_future().get();
}

// What is wrong with a model is said at the start, as far as that is quick to find out.
Status PreloadModels(const ServeConfig& config, ModelRegistry& registry) {
  for (const ServedModelConfig& model : config.models) {
    std::error_code error;
    if (!std::filesystem::exists(model.path, error)) {
      return Fail(ErrorCode::kNotFound, fmt::format("{}: there is no such file or folder", model.path.string()));
    }
  }
  if (config.preload == Preload::kNone) return {};
  for (const ModelStatus& model : registry.Models()) {
    AUTOGLM_TRY_VOID(PreloadModel(registry, model.name));
    if (config.preload == Preload::kFirst) break;
  }
  return {};
}

// Lets running answers finish. False where time ran out or a second signal came.
bool Drain(ApiServer& server, SignalWatcher& signals, Duration limit) {
  server.BeginDrain();
  Log(LogLevel::kInfo, "drain_started", {{"signal", std::string_view(signals.LastSignalName())}});
  const Clock& clock = Clock::Real();
  const TimePoint deadline = clock.Now() + limit;
  while (!server.WaitUntilDrained(kDrainSlice)) {
    if (signals.Take() > 0 || clock.Now() >= deadline) return false;
  }
  return true;
}

int FinishModels(const ModelRegistry& registry, Console& console) {
  const Status integrity = registry.CheckIntegrity();
  if (integrity) {
    Log(LogLevel::kInfo, "integrity_check", {{"ok", true}});
    return 0;
  }
  Log(LogLevel::kError, "integrity_check", {{"ok", false}, {"problem", std::string_view(integrity.error().message)}});
  console.err << "autoglm: integrity check failed: " << integrity.error().message << "\n";
  return 1;
}

// By option name, what was given on the command line.
struct ServeArguments {
  ServeFlags flags;
  std::string config_file;
};

void AddServeOption(CLI::App& command, const ServeOption& option, std::shared_ptr<ServeArguments> arguments) {
  const bool is_positional = option.name == "model";
  const std::string flag = is_positional ? std::string(option.value) : "--" + std::string(option.name);
  CLI::Option* added = command.add_option_function<std::vector<std::string>>(
      flag,
      [arguments, name = std::string(option.name)](const std::vector<std::string>& values) { arguments->flags[name] = values; },
      std::string(option.help));
  added->type_name(std::string(option.value))->group(std::string(option.group));
  if (is_positional) {
    added->expected(1, CLI::detail::expected_max_vector_size);
  } else {
    added->expected(1)->allow_extra_args(false);
  }
  if (option.is_list) added->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  added->check([set = option.set](const std::string& value) {
    ServeConfig scratch;
    const Status status = set(scratch, {value});
    return status ? std::string() : status.error().message;
  });
}

// References become the paths of models, which are fetched where they are missing.
Status FetchModels(ServeConfig& config, Console& console) {
  for (ServedModelConfig& model : config.models) {
    const std::string given = model.path.string();
    if (!ModelReference::Is(given)) continue;
    AUTOGLM_TRY(model.path, LocalModel(given, console));
  }
  return {};
}

std::optional<std::filesystem::path> ConfigFile(const std::string& given) {
  if (!given.empty()) return given;
  const char* from_environment = std::getenv("AUTOGLM_CONFIG");
  if (from_environment != nullptr && *from_environment != '\0') return from_environment;
  return std::nullopt;
}

}  // namespace

void AddServeCommand(CLI::App& app, CommandAction& action) {
  CLI::App* command = app.add_subcommand("serve", "Serve one or several models behind an OpenAI-compatible API.");
  const auto arguments = std::make_shared<ServeArguments>();
  for (const ServeOption& option : ServeOptions()) AddServeOption(*command, option, arguments);
  AddTextOption(*command, {"--config", "FILE", "settings as YAML (default: $AUTOGLM_CONFIG, or none)"}, arguments->config_file);
  command->footer(
      "A YAML file has the same names with underscores, and flags win over it:\n"
      "  model: models/model.gguf\n"
      "  kv_memory: 2G\n"
      "  served_model_name: [assistant, small]\n"
      "Several models stand under 'models', each with what is its own:\n"
      "  models:\n"
      "    - model: models/large.gguf\n"
      "      aliases: [assistant]\n"
      "    - {model: models/small.gguf, name: small, context: 4096, precision: int8}\n"
      "  memory_budget: 12G\n\n"
      "Examples:\n"
      "  autoglm serve model.gguf\n"
      "  autoglm serve model.gguf --port 9000 --threads 4 --context 8192 --kv-memory 2G\n"
      "  autoglm serve chat.gguf code.gguf --memory-budget 16G --idle-unload 600\n"
      "  autoglm serve --config autoglm.yaml --log-file autoglm.log");
  command->callback([arguments, &action] {
    action = [arguments](Console& console) -> Result<int> {
      AUTOGLM_TRY(ServeConfig config, BuildServeConfig(ConfigFile(arguments->config_file), arguments->flags));
      AUTOGLM_TRY_VOID(FetchModels(config, console));
      return RunServe(config, console);
    };
  });
}

Result<int> RunServe(const ServeConfig& config, Console& console) {
  IgnoreBrokenPipes();
  AUTOGLM_TRY(const auto logging, LoggingScope::Start(config.log_file, config.log_level, config.log_format, console));
  AUTOGLM_TRY(const std::shared_ptr<const Authenticator> authenticator, MakeAuthenticator(config));
  AUTOGLM_TRY_VOID(CheckDoor(config, *authenticator, console));

  // The port first: a taken one is noticed before a large model is read.
  ApiServerOptions options = ApiOptionsOf(config, authenticator);
  AUTOGLM_TRY(options.slo, MakeSloOptions(config.slo, fmt::format("http://{}:{}", config.host, config.port)));
  ServerMetrics metrics({.latency_bounds = LatencyBoundsOf(options.slo), .has_vllm_names = config.has_vllm_metric_names});
  AUTOGLM_TRY(options.tracing, MakeTracingOptions(config.tracing, "autoglm", Version(), options.http.port));
  options.request_log.keeps_texts = config.tracing.shows_texts;
  if (config.tracing.shows_texts && options.tracing.exporters.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "trace-texts says what spans hold: say where they go, with otlp or zipkin");
  }
  AUTOGLM_TRY(std::unique_ptr<ApiServer> server, ApiServer::Start(options, metrics, Clock::Real()));
  AUTOGLM_TRY(const std::shared_ptr<ModelRegistry> registry, MakeRegistry(config));
  AUTOGLM_TRY_VOID(CheckNames(config, *registry));
  AUTOGLM_TRY_VOID(PreloadModels(config, *registry));
  AUTOGLM_TRY(const std::unique_ptr<SignalWatcher> signals, SignalWatcher::Install(EndingSignals()));
  server->Serve(registry);
  console.out << ServeBanner(DescribeService(config, *registry, server->port()), console) << std::flush;

  while (!signals->Wait(kForever)) {
  }
  signals->Take();
  console.out << fmt::format("\nFinishing running answers (at most {} s); once more to stop at once.\n", config.drain_timeout_s)
              << std::flush;
  const bool drained = Drain(*server, *signals, std::chrono::seconds(config.drain_timeout_s));
  Log(drained ? LogLevel::kInfo : LogLevel::kWarning, "drain_finished", {{"complete", drained}});
  console.out << (drained ? "Stopped.\n" : "Stopped; answers that were still running are cut off.\n") << std::flush;
  server.reset();
  return FinishModels(*registry, console);
}

}  // namespace autoglm
