#include "cli/serve_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/text_file.h"
#include "cli/option_values.h"
#include "cli/public_prefix_config.h"
#include "config/auth_config.h"
#include "config/values.h"
#include "config/yaml_file.h"
#include "config/yaml_value.h"
#include "engine/loaded_model.h"

namespace autoglm {
namespace {

using Values = std::vector<std::string>;

constexpr int64_t kMaxContext = int64_t{1} << 24;
constexpr std::string_view kModelsKey = "models";

// Puts a parsed value into a member, or passes the error on.
template <typename T, typename U>
Status Assign(T& target, Result<U> value) {
  if (!value) return tl::unexpected<Error>(std::move(value).error());
  target = *std::move(value);
  return {};
}

Result<std::string> NotEmpty(const std::string& text) {
  if (text.empty()) return Fail(ErrorCode::kInvalidArgument, "must not be empty");
  return text;
}

Result<LogFormat> ParseLogFormat(std::string_view text) {
  if (text == "auto") return LogFormat::kAuto;
  if (text == "text") return LogFormat::kText;
  if (text == "json") return LogFormat::kJson;
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must be one of auto, text, json, not '{}'", text));
}

Status SetServedModelNames(ServeConfig& config, const Values& values) {
  for (const std::string& name : values) {
    AUTOGLM_TRY_VOID(NotEmpty(name));
    if (name == "default") return Fail(ErrorCode::kInvalidArgument, "'default' always names the first model and cannot be taken");
  }
  config.served_model_names = values;
  return {};
}

Status SetModels(ServeConfig& config, const Values& values) {
  config.models.clear();
  for (const std::string& path : values) {
    AUTOGLM_TRY_VOID(NotEmpty(path));
    config.models.push_back({.path = path});
  }
  return {};
}

Result<std::optional<int64_t>> ParseBudget(std::string_view text) {
  if (text == "auto") return std::nullopt;
  if (text == "none") return 0;
  AUTOGLM_TRY(const int64_t bytes, ParseByteSize(text));
  if (bytes == 0) return Fail(ErrorCode::kInvalidArgument, "must be a size such as 8G, none or auto");
  return bytes;
}

// "0.8" of "0.8:256", and what stands behind the colon.
Result<double> ParsePressure(std::string_view text) {
  double pressure = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pressure, std::chars_format::fixed);
  if (error == std::errc() && end == text.data() + text.size() && pressure >= 0 && pressure <= 1) return pressure;
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("a pressure is a number from 0 (idle; here: never) to 1 (full), not '{}'", text));
}

Result<std::pair<std::string_view, std::string_view>> SplitAt(char separator, std::string_view text, std::string_view form) {
  const size_t at = text.find(separator);
  if (at != std::string_view::npos) return std::pair(text.substr(0, at), text.substr(at + 1));
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must have the form {}, not '{}'", form, text));
}

Status SetCap(ServeConfig& config, const Values& values) {
  AUTOGLM_TRY(const auto parts, SplitAt(':', values[0], "PRESSURE:TOKENS"));
  AUTOGLM_TRY(config.degradation.cap_from, ParsePressure(parts.first));
  return Assign(config.degradation.cap_tokens, ParseInteger(parts.second, 1, kMaxContext));
}

Status SetSmallerModel(ServeConfig& config, const Values& values) {
  AUTOGLM_TRY(const auto parts, SplitAt(':', values[0], "PRESSURE:MODEL"));
  AUTOGLM_TRY(config.degradation.smaller_model_from, ParsePressure(parts.first));
  return Assign(config.degradation.smaller_model, NotEmpty(std::string(parts.second)));
}

Status SetSloClasses(ServeConfig& config, const Values& values) {
  for (const std::string& value : values) {
    AUTOGLM_TRY(const auto parts, SplitAt('=', value, "NAME=SECONDS"));
    AUTOGLM_TRY(const std::string name, NotEmpty(std::string(parts.first)));
    AUTOGLM_TRY(const int64_t seconds, ParseInteger(parts.second, 0, 86'400));
    config.slo_classes[name] = std::chrono::seconds(seconds);
  }
  return {};
}

Result<Preload> ParsePreload(std::string_view text) {
  if (text == "first") return Preload::kFirst;
  if (text == "all") return Preload::kAll;
  if (text == "none") return Preload::kNone;
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must be one of first, all, none, not '{}'", text));
}

Result<int64_t> ParseContext(std::string_view text) { return ParseIntegerOrAuto(text, kMaxContext); }

Result<int64_t> ParseKvMemory(std::string_view text) {
  if (text == "auto") return 0;
  return ParseByteSize(text);
}

Result<std::string> ParseEventEndpoint(const std::string& text) {
  if (text == "off") return std::string();
  if (text.find("://") != std::string::npos) return text;
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must be off or an endpoint such as tcp://*:5557, not '{}'", text));
}

// Whether it is the second of two words.
Result<bool> ParseChoice(std::string_view text, std::string_view first, std::string_view second) {
  if (text == first || text == second) return text == second;
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must be {} or {}, not '{}'", first, second, text));
}

Result<std::chrono::milliseconds> ParseMilliseconds(std::string_view text) {
  AUTOGLM_TRY(const int64_t count, ParseInteger(text, 0, 86'400'000));
  return std::chrono::milliseconds(count);
}

Result<int64_t> ParseBodyLimit(std::string_view text) {
  AUTOGLM_TRY(const int64_t bytes, ParseByteSize(text));
  if (bytes < 1) return Fail(ErrorCode::kInvalidArgument, "must be at least one byte: no request could be sent");
  return bytes;
}

constexpr ServeOption kOptions[] = {
    {"model", "MODEL", "Server",
     "a GGUF file, a Hugging Face folder or a reference such as hf:ORG/REPO:FILE; several are loaded when they are asked for",
     SetModels, true},
    {"served-model-name", "NAME", "Server",
     "a name clients may ask the first model for; may be repeated (default: the file's name without .gguf)", SetServedModelNames,
     true},
    {"host", "ADDRESS", "Server", "address to listen on (default: 127.0.0.1)",
     [](ServeConfig& c, const Values& v) { return Assign(c.host, NotEmpty(v[0])); }},
    {"port", "PORT", "Server", "port to listen on, 0 for any free one (default: 8080)",
     [](ServeConfig& c, const Values& v) { return Assign(c.port, ParseInteger(v[0], 0, 65535)); }},
    {"unauthenticated", "WHERE", "Server",
     "where a server without keys may listen: loopback, or anywhere that --host says (default: loopback)",
     [](ServeConfig& c, const Values& v) { return Assign(c.serves_anybody_anywhere, ParseUnauthenticated(v[0])); }},
    {"max-body", "SIZE", "Server", "largest request body; beyond it clients get 413 (default: 16M)",
     [](ServeConfig& c, const Values& v) { return Assign(c.max_body_bytes, ParseBodyLimit(v[0])); }},
    {"drain-timeout", "SECONDS", "Server", "how long running answers may take to finish after SIGTERM or Ctrl-C (default: 30)",
     [](ServeConfig& c, const Values& v) { return Assign(c.drain_timeout_s, ParseInteger(v[0], 0, 86400)); }},

    {"threads", "N", "Engine", "threads to compute with (default: auto, one per processor)",
     [](ServeConfig& c, const Values& v) { return Assign(c.threads, ParseIntegerOrAuto(v[0], 1024)); }},
    {"isa", "ISA", "Engine", "instruction set: auto, scalar, avx2, avx512, avx512bf16 or amx (default: auto)",
     [](ServeConfig& c, const Values& v) { return Assign(c.isa, ParseIsa(v[0])); }},
    {"arithmetic", "KIND", "Engine",
     "fast: 8-bit activations and BF16 keys and values; mixed: prompts in BF16 where matrix tiles make that faster, results then "
     "depend on batching; exact: everything in float32 (default: fast)",
     [](ServeConfig& c, const Values& v) { return Assign(c.arithmetic, ParseArithmetic(v[0])); }},
    {"precision", "KIND", "Engine",
     "as-stored, or int8: F32, F16 and BF16 matrices rounded to 8 bits with a scale for each row (default: as-stored)",
     [](ServeConfig& c, const Values& v) { return Assign(c.precision, ParsePrecision(v[0])); }},
    {"kv-type", "TYPE", "Engine", "keys and values as bf16, int8 or f32 (default: auto, f32 with exact arithmetic, else bf16)",
     [](ServeConfig& c, const Values& v) { return Assign(c.kv_type, ParseKvType(v[0])); }},
    {"context", "TOKENS", "Engine", "longest prompt and answer together (default: auto, the model's, as far as memory holds it)",
     [](ServeConfig& c, const Values& v) { return Assign(c.context, ParseContext(v[0])); }},
    {"kv-memory", "SIZE", "Engine", "memory for keys and values of all requests, such as 512M or 2G (default: auto)",
     [](ServeConfig& c, const Values& v) { return Assign(c.kv_memory_bytes, ParseKvMemory(v[0])); }},
    {"prepared-cache", "FOLDER", "Engine",
     "where packed weights are kept for the next start: auto, off or a folder (default: auto)",
     [](ServeConfig& c, const Values& v) { return Assign(c.prepared_cache, ParsePreparedCache(v[0])); }},
    {"prepared-cache-size", "SIZE", "Engine", "most that folder may hold; what was not used for longest goes (default: 64G)",
     [](ServeConfig& c, const Values& v) { return Assign(c.prepared_cache_bytes, ParseByteSize(v[0])); }},
    {"kv-compressed-memory", "SIZE", "Engine",
     "memory for what --kv-memory has no room for, compressed without loss to two thirds (default: 0, none)",
     [](ServeConfig& c, const Values& v) { return Assign(c.kv_compressed_bytes, ParseByteSize(v[0])); }},
    {"kv-disk", "FOLDER", "Engine",
     "where the keys and values of conversations are kept, so that they outlive their eviction and a restart: auto, off or a "
     "folder "
     "(default: off)",
     [](ServeConfig& c, const Values& v) { return Assign(c.kv_disk, ParseKvDisk(v[0])); }},
    {"kv-disk-size", "SIZE", "Engine",
     "most that folder may hold of all models; what was not used for longest goes (default: 16G)",
     [](ServeConfig& c, const Values& v) { return Assign(c.kv_disk_bytes, ParseByteSize(v[0])); }},

    {"kv-events", "ENDPOINT", "Routers",
     "where routers are told which prefixes are in memory, as vLLM tells them over ZeroMQ: tcp://*:5557, or the name of a router "
     "to "
     "connect to; each further model one port higher (default: off)",
     [](ServeConfig& c, const Values& v) { return Assign(c.kv_events, ParseEventEndpoint(v[0])); }},
    {"kv-events-replay", "ENDPOINT", "Routers", "where they ask for what they missed, such as tcp://*:5657 (default: off)",
     [](ServeConfig& c, const Values& v) { return Assign(c.kv_events_replay, ParseEventEndpoint(v[0])); }},
    {"kv-events-topic", "TEXT", "Routers", "first frame of each message; {model} stands for the model's name (default: empty)",
     [](ServeConfig& c, const Values& v) { return Assign(c.kv_events_topic, Result<std::string>(v[0])); }},

    {"memory-budget", "SIZE", "Several models",
     "most that weights, keys and values of all models may take: a size, none, or auto (default: auto, nine tenths of the "
     "memory)",
     [](ServeConfig& c, const Values& v) { return Assign(c.memory_budget_bytes, ParseBudget(v[0])); }},
    {"idle-unload", "SECONDS", "Several models", "unload a model that nobody asked for so long; 0: never (default: 0)",
     [](ServeConfig& c, const Values& v) { return Assign(c.idle_unload_s, ParseInteger(v[0], 0, 30 * 86400)); }},
    {"preload", "WHICH", "Several models", "which models to load before the first request: first, all or none (default: first)",
     [](ServeConfig& c, const Values& v) { return Assign(c.preload, ParsePreload(v[0])); }},

    {"max-running", "N", "Scheduling", "requests computed at the same time (default: 64)",
     [](ServeConfig& c, const Values& v) { return Assign(c.max_running, ParseInteger(v[0], 1, 4096)); }},
    {"max-queue", "N", "Scheduling", "requests waiting beyond those; beyond them clients get 429 (default: 256)",
     [](ServeConfig& c, const Values& v) { return Assign(c.max_queue, ParseInteger(v[0], 1, 1 << 20)); }},
    {"max-queue-seconds", "SECONDS", "Scheduling",
     "the most work, as predicted, that may wait and run; beyond it clients get 429 and when to come back; 0: any (default: 120)",
     [](ServeConfig& c, const Values& v) { return Assign(c.max_queue_seconds, ParseInteger(v[0], 0, 86'400)); }},
    {"slo-class", "NAME=SECONDS", "Scheduling",
     "a class of requests (header x-slo-class) and the seconds to the first token it stands in line for; may be repeated "
     "(default: "
     "interactive=1, standard=10, batch=600)",
     SetSloClasses, true},
    {"priority-step", "SECONDS", "Scheduling",
     "seconds of waiting that weigh as much as one level of a request's priority (default: 30)",
     [](ServeConfig& c, const Values& v) { return Assign(c.priority_step_s, ParseInteger(v[0], 0, 86400)); }},
    {"speculation", "WHEN", "Scheduling",
     "auto: guess the next tokens of answers that repeat earlier text where that is faster, with equal answers; off (default: "
     "auto)",
     [](ServeConfig& c, const Values& v) { return Assign(c.speculates, ParseSpeculation(v[0])); }},
    {"max-batch-tokens", "N", "Scheduling", "tokens computed in one step (default: 512)",
     [](ServeConfig& c, const Values& v) { return Assign(c.max_batch_tokens, ParseInteger(v[0], 1, 65536)); }},
    {"max-batch-tokens-decode", "N", "Scheduling",
     "the same for a step that running answers wait for: lower is smoother, higher is faster (default: 128)",
     [](ServeConfig& c, const Values& v) { return Assign(c.max_batch_tokens_decode, ParseInteger(v[0], 1, 65536)); }},
    {"inter-token-slo", "MS", "Scheduling",
     "milliseconds that new prompts may add to the time between two tokens of running answers; 0: any (default: 50)",
     [](ServeConfig& c, const Values& v) { return Assign(c.inter_token_slo_ms, ParseInteger(v[0], 0, 60000)); }},

    {"degrade-max-tokens", "PRESSURE:TOKENS", "Under pressure",
     "from so much pressure on (0 idle, 1 full) answers have no more tokens, such as 0.6:256 (default: never)", SetCap},
    {"degrade-n", "PRESSURE", "Under pressure", "from so much on, one choice in place of several (default: never)",
     [](ServeConfig& c, const Values& v) { return Assign(c.degradation.one_choice_from, ParsePressure(v[0])); }},
    {"degrade-model", "PRESSURE:MODEL", "Under pressure",
     "from so much on, another of the served models answers, such as 0.8:small (default: never)", SetSmallerModel},
    {"degrade-refuse", "PRESSURE", "Under pressure",
     "from so much on, requests that can wait (class batch, priority above 0) get 503 (default: never)",
     [](ServeConfig& c, const Values& v) { return Assign(c.degradation.refuse_from, ParsePressure(v[0])); }},

    {"keys-database", "FILE", "Access", "where 'autoglm keys' keeps API keys: auto, off or a file (default: auto)",
     [](ServeConfig& c, const Values& v) { return Assign(c.auth.key_database, ParseKeyDatabase(v[0])); }},

    {"slo", "FILE", "Observability",
     "objectives that requests are held to, as slo.json or OpenSLO: docs/slo.md; their times become buckets of histograms",
     [](ServeConfig& c, const Values& v) { return Assign(c.slo.file, NotEmpty(v[0])); }},
    {"slo-state", "FILE", "Observability", "keep what objectives have counted there, so that a restart gives no budget back",
     [](ServeConfig& c, const Values& v) { return Assign(c.slo.state, NotEmpty(v[0])); }},
    {"alert-webhook", "URL", "Observability",
     "tell this address when an objective's alert fires and resolves, as Alertmanager does",
     [](ServeConfig& c, const Values& v) { return Assign(c.slo.webhook, ParseCollectorUrl(v[0])); }},
    {"metrics-names", "NAMES", "Observability", "autoglm, or vllm: what vLLM measures too is told under its names as well",
     [](ServeConfig& c, const Values& v) { return Assign(c.has_vllm_metric_names, ParseChoice(v[0], "autoglm", "vllm")); }},
    {"otlp", "URL", "Observability", "send spans of requests to this OpenTelemetry collector, such as http://localhost:4318",
     [](ServeConfig& c, const Values& v) { return Assign(c.tracing.otlp, ParseCollectorUrl(v[0])); }},
    {"otlp-encoding", "ENCODING", "Observability", "protobuf or json (default: protobuf)",
     [](ServeConfig& c, const Values& v) { return Assign(c.tracing.is_otlp_json, ParseIsOtlpJson(v[0])); }},
    {"zipkin", "URL", "Observability", "send spans of requests to this Zipkin, such as http://localhost:9411",
     [](ServeConfig& c, const Values& v) { return Assign(c.tracing.zipkin, ParseCollectorUrl(v[0])); }},
    {"trace-sample", "SHARE", "Observability",
     "share of traces that is kept, 0 to 1, of those that nothing else speaks for: slow, failed and retried ones always are "
     "(default: 1)",
     [](ServeConfig& c, const Values& v) { return Assign(c.tracing.sample_ratio, ParseReal(v[0], 0, 1)); }},
    {"trace-slow-ms", "MILLISECONDS", "Observability", "a request that takes longer is slow (default: 10000)",
     [](ServeConfig& c, const Values& v) { return Assign(c.tracing.slow, ParseMilliseconds(v[0])); }},
    {"trace-texts", "TEXTS", "Observability",
     "none, or messages: spans hold what was asked and answered, which else is in no trace, metric or log (default: none)",
     [](ServeConfig& c, const Values& v) { return Assign(c.tracing.shows_texts, ParseChoice(v[0], "none", "messages")); }},
    {"otlp-metrics-ms", "MILLISECONDS", "Observability",
     "how often the collector is told metrics, too; 0: never (default: 15000)",
     [](ServeConfig& c, const Values& v) { return Assign(c.tracing.metrics_interval, ParseMilliseconds(v[0])); }},
    {"service-name", "NAME", "Observability", "what spans call this server (default: autoglm)",
     [](ServeConfig& c, const Values& v) { return Assign(c.tracing.service_name, NotEmpty(v[0])); }},
    {"request-records", "COUNT", "Observability",
     "how many of the last requests are remembered in full, a kilobyte each (default: 65536)",
     [](ServeConfig& c, const Values& v) { return Assign(c.request_records, ParseInteger(v[0], 1, 10'000'000)); }},
    {"log-file", "FILE", "Logging", "where the log goes (default: standard error)",
     [](ServeConfig& c, const Values& v) { return Assign(c.log_file, NotEmpty(v[0])); }},
    {"log-level", "LEVEL", "Logging", "debug, info, warning or error (default: info)",
     [](ServeConfig& c, const Values& v) { return Assign(c.log_level, ParseLogLevel(v[0])); }},
    {"log-format", "FORMAT", "Logging", "json, text, or auto: text on a terminal, json elsewhere (default: auto)",
     [](ServeConfig& c, const Values& v) { return Assign(c.log_format, ParseLogFormat(v[0])); }},
};

std::string KnownKeys() {
  std::string keys;
  for (const ServeOption& option : kOptions) keys += YamlKey(option) + ", ";
  return fmt::format("{}{}, {}, {}", keys, kModelsKey, kAuthSections, kPublicPrefixesKey);
}

const ServeOption* FindByYamlKey(std::string_view key) {
  const auto found = std::ranges::find_if(kOptions, [key](const ServeOption& option) { return YamlKey(option) == key; });
  return found == std::end(kOptions) ? nullptr : found;
}

// What a setting is given: a list only where it takes one.
Result<Values> ValuesOf(const YamlValue& value, bool is_list) {
  if (is_list) return value.Texts();
  AUTOGLM_TRY(std::string text, value.Text());
  return Values{std::move(text)};
}

// One setting of an entry under "models".
Status SetModelField(std::string_view key, const Values& values, ServedModelConfig& model) {
  if (key == "aliases") {
    model.aliases = values;
    return {};
  }
  if (values.size() != 1) return Fail(ErrorCode::kInvalidArgument, "must be one plain value");
  if (key == "model") return Assign(model.path, NotEmpty(values[0]));
  if (key == "name") return Assign(model.name, NotEmpty(values[0]));
  if (key == "precision") return Assign(model.precision, ParsePrecision(values[0]));
  if (key == "context") return Assign(model.context, ParseContext(values[0]));
  if (key == "kv_memory") return Assign(model.kv_memory_bytes, ParseKvMemory(values[0]));
  return Fail(ErrorCode::kInvalidArgument, "unknown key; known are model, name, aliases, precision, context, kv_memory");
}

Status ApplyModel(const YamlValue& entry, ServedModelConfig& model) {
  if (entry.IsPlain()) return Assign(model.path, entry.Text());
  if (!entry.IsMap()) return entry.FailHere("must be a path, or lines such as 'model: model.gguf'");
  AUTOGLM_TRY(const std::vector<YamlValue> fields, entry.Fields());
  for (const YamlValue& field : fields) {
    AUTOGLM_TRY(const Values values, field.Texts());
    const Status status = SetModelField(field.name(), values, model);
    if (!status) return field.Refuse(status.error().message);
  }
  if (model.path.empty()) return entry.FailHere("an entry of models needs 'model'");
  return {};
}

// models: a list of paths, or of what is to be said of each.
Status ApplyModels(const YamlValue& list, ServeConfig& config) {
  AUTOGLM_TRY(const std::vector<YamlValue> entries, list.Items("models"));
  if (entries.empty()) return list.Refuse("must be a list of models");
  config.models.clear();
  for (const YamlValue& entry : entries) AUTOGLM_TRY_VOID(ApplyModel(entry, config.models.emplace_back()));
  return {};
}

Status ApplyField(const YamlValue& field, std::string_view file_name, ServeConfig& config) {
  if (field.name() == kModelsKey) return ApplyModels(field, config);
  if (field.name() == kPublicPrefixesKey) return ApplyPublicPrefixes(field, file_name, config.public_prefixes);
  if (IsAuthSection(field.name())) return {};  // read together, by ApplyAuthYaml
  const ServeOption* option = FindByYamlKey(field.name());
  if (option == nullptr) return field.FailHere(fmt::format("unknown key '{}'; known are {}", field.name(), KnownKeys()));
  AUTOGLM_TRY(const Values values, ValuesOf(field, option->is_list));
  const Status status = option->set(config, values);
  return status ? Status() : field.Refuse(status.error().message);
}

// What gateways alone do must not be taken for done.
Status CheckAuthOfServer(const YamlValue& document, const AuthOptions& auth) {
  const std::optional<YamlValue> jwt = document.Find("jwt");
  if (jwt && auth.jwt && !auth.jwt->jwks_url.empty()) {
    return jwt->Refuse("jwks_url is for 'autoglm gateway', which fetches keys; name a file by jwks");
  }
  const bool has_budget = std::ranges::any_of(auth.policies, [](const auto& entry) { return entry.second.budget > 0; }) ||
                          std::ranges::any_of(auth.keys, [](const ConfiguredKey& key) { return key.policy.budget > 0; });
  return has_budget ? document.FailHere("a policy has a budget, which only 'autoglm gateway' counts") : Status();
}

Status ApplyDocument(const YamlValue& document, std::string_view file_name, ServeConfig& config) {
  if (document.IsNull()) return {};
  if (!document.IsMap()) return document.FailHere("must be a list of lines such as 'port: 8080'");
  AUTOGLM_TRY(const std::vector<YamlValue> fields, document.Fields());
  for (const YamlValue& field : fields) {
    if (field.name() == kModelsKey && document.Find("model")) {
      return field.FailHere("'model' stands here a second time");  // they say the same
    }
    AUTOGLM_TRY_VOID(ApplyField(field, file_name, config));
  }
  AUTOGLM_TRY_VOID(ApplyAuthYaml(document, config.auth));
  return CheckAuthOfServer(document, config.auth);
}

Status CheckTogether(const ServeConfig& config) {
  if (config.models.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "no model: name a GGUF file, as in 'autoglm serve model.gguf'");
  }
  if (config.max_batch_tokens_decode > config.max_batch_tokens) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("max-batch-tokens-decode ({}) must not be larger than max-batch-tokens ({})",
                            config.max_batch_tokens_decode, config.max_batch_tokens));
  }
  return {};
}

}  // namespace

std::span<const ServeOption> ServeOptions() { return kOptions; }

std::string NameOf(const ServedModelConfig& model) { return model.name.empty() ? ModelNameOf(model.path) : model.name; }

std::string YamlKey(const ServeOption& option) {
  std::string key(option.name);
  std::ranges::replace(key, '-', '_');
  return key;
}

Status ApplyServeYaml(const std::string& yaml, std::string_view file_name, ServeConfig& config) {
  AUTOGLM_TRY(const YAML::Node document, LoadYaml(yaml, file_name));
  return ApplyDocument(YamlValue::Root(document, file_name, YamlValue::Environment::kIgnored), file_name, config);
}

Result<ServeConfig> BuildServeConfig(const std::optional<std::filesystem::path>& file, const ServeFlags& flags) {
  ServeConfig config;
  if (file) {
    AUTOGLM_TRY(const std::string yaml, ReadTextFile(*file, kMaxYamlBytes));
    AUTOGLM_TRY_VOID(ApplyServeYaml(yaml, file->string(), config));
  }
  for (const ServeOption& option : kOptions) {
    const auto given = flags.find(option.name);
    if (given == flags.end()) continue;
    if (Status status = option.set(config, given->second); !status) {
      return Fail(status.error().code, fmt::format("--{}: {}", option.name, status.error().message));
    }
  }
  AUTOGLM_TRY_VOID(CheckTogether(config));
  return config;
}

}  // namespace autoglm
