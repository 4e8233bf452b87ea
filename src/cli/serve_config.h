#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "auth/authenticator.h"
#include "base/result.h"
#include "cli/cache_folder.h"
#include "cli/server_process.h"
#include "config/key_database.h"
#include "config/slo_config.h"
#include "config/tracing_config.h"
#include "engine/kv_tier.h"
#include "kernels/isa.h"
#include "server/degradation.h"
#include "server/public_prefixes.h"
#include "server/request_terms.h"
#include "telemetry/log.h"
#include "weights/packed_matrix.h"
#include "weights/prepared_cache.h"

namespace autoglm {

// One of the models to serve, and what differs from the settings for all.
struct ServedModelConfig {
  std::filesystem::path path;
  std::string name;  // empty: from the path
  std::vector<std::string> aliases;
  std::optional<WeightPrecision> precision;
  std::optional<int64_t> context;
  std::optional<int64_t> kv_memory_bytes;

  bool operator==(const ServedModelConfig&) const = default;
};

// Which models are loaded before the server says that it is ready.
enum class Preload { kFirst, kAll, kNone };

// Everything `autoglm serve` can be told. 0 where a comment says auto: chosen by the machine and the model.
struct ServeConfig {
  std::vector<ServedModelConfig> models;        // the first is the default
  std::vector<std::string> served_model_names;  // of the first model; empty: its own
  std::string host = "127.0.0.1";
  int64_t port = 8080;
  bool serves_anybody_anywhere = false;  // without keys other addresses than loopback are refused
  int64_t max_body_bytes = 16 << 20;

  int64_t threads = 0;  // auto
  Isa isa = DetectIsa();
  Arithmetic arithmetic = Arithmetic::kFast;
  WeightPrecision precision = WeightPrecision::kAsStored;
  std::optional<KvType> kv_type;                                       // nullopt: by the arithmetic
  int64_t context = 0;                                                 // tokens; auto
  int64_t kv_memory_bytes = 0;                                         // auto
  std::filesystem::path prepared_cache = *ParsePreparedCache("auto");  // empty: off
  int64_t prepared_cache_bytes = PreparedCacheOptions().max_bytes;
  int64_t kv_compressed_bytes = 0;  // of each model
  std::filesystem::path kv_disk;    // empty: off
  int64_t kv_disk_bytes = KvDiskOptions().max_bytes;
  std::string kv_events;         // empty: off
  std::string kv_events_replay;  // empty: none
  std::string kv_events_topic;
  std::optional<int64_t> memory_budget_bytes;  // of all models; 0: no limit; nullopt: most of the machine's memory
  int64_t idle_unload_s = 0;                   // 0: never
  Preload preload = Preload::kFirst;

  int64_t max_running = 64;
  int64_t max_queue = 256;
  int64_t max_queue_seconds = 120;  // 0: any
  int64_t max_batch_tokens = 512;
  int64_t max_batch_tokens_decode = 128;
  int64_t inter_token_slo_ms = 50;  // 0: none
  int64_t priority_step_s = 30;
  SloClasses slo_classes = DefaultSloClasses();
  DegradationOptions degradation;
  bool speculates = true;
  int64_t drain_timeout_s = 30;

  std::vector<PublicPrefix> public_prefixes;

  AuthOptions auth{.key_database = DefaultKeyDatabase()};

  TracingConfig tracing;
  SloConfig slo;
  bool has_vllm_metric_names = false;
  int64_t request_records = 65'536;

  std::string log_file;  // empty: standard error
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kAuto;

  bool operator==(const ServeConfig&) const = default;
};

// One setting, the same behind a flag (--kv-memory 2G) and in autoglm.yaml (kv_memory: 2G): both go through `set`.
struct ServeOption {
  std::string_view name;   // as a flag, without the dashes
  std::string_view value;  // the word for its value in the help
  std::string_view group;  // heading in the help
  std::string_view help;
  // Replaces the setting. Exactly one value, except for lists.
  Status (*set)(ServeConfig& config, const std::vector<std::string>& values);
  bool is_list = false;
};

// Every setting, in the order of the help. "model" is the positional argument. What concerns one model of several stands in
// autoglm.yaml under "models", who may do what under "policies", "keys" and "jwt", and what everybody shares under
// "public_prefixes"; these are no flags.
std::span<const ServeOption> ServeOptions();

// The name that answers carry: given, or ModelNameOf the path.
std::string NameOf(const ServedModelConfig& model);

// "kv-memory" -> "kv_memory".
std::string YamlKey(const ServeOption& option);

// Values given on the command line, by option name.
using ServeFlags = std::map<std::string, std::vector<std::string>, std::less<>>;

// Defaults, then the file, then the flags. Errors: kNotFound and kIo for the file; kInvalidArgument for what is written in
// it (the message starts with "FILE:LINE: "), and for settings that do not fit together.
Result<ServeConfig> BuildServeConfig(const std::optional<std::filesystem::path>& file, const ServeFlags& flags);

// Applies YAML text; `file_name` stands in front of error messages.
Status ApplyServeYaml(const std::string& yaml, std::string_view file_name, ServeConfig& config);

}  // namespace autoglm
