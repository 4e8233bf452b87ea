#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/cache_folder.h"
#include "kernels/isa.h"
#include "telemetry/log.h"
#include "weights/packed_matrix.h"
#include "weights/prepared_cache.h"

namespace autoglm {

// kAuto: text where standard error is a terminal and no log file is named, JSON otherwise.
enum class LogFormat { kAuto, kText, kJson };

// Everything `autoglm serve` can be told. 0 where a comment says auto: chosen by the machine and the model.
struct ServeConfig {
  std::filesystem::path model;
  std::vector<std::string> served_model_names;  // empty: the file's name
  std::string host = "127.0.0.1";
  int64_t port = 8080;
  int64_t max_body_bytes = 16 << 20;

  int64_t threads = 0;  // auto
  Isa isa = DetectIsa();
  Arithmetic arithmetic = Arithmetic::kFast;
  WeightPrecision precision = WeightPrecision::kAsStored;
  int64_t context = 0;                                                 // tokens; auto
  int64_t kv_memory_bytes = 0;                                         // auto
  std::filesystem::path prepared_cache = *ParsePreparedCache("auto");  // empty: off
  int64_t prepared_cache_bytes = PreparedCacheOptions().max_bytes;

  int64_t max_running = 64;
  int64_t max_queue = 256;
  int64_t max_batch_tokens = 512;
  int64_t max_batch_tokens_decode = 128;
  int64_t drain_timeout_s = 30;

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
  // Replaces the setting. Exactly one value, except that served-model-name takes several.
  Status (*set)(ServeConfig& config, const std::vector<std::string>& values);
  bool is_list = false;
};

// Every setting, in the order of the help. "model" is the positional argument.
std::span<const ServeOption> ServeOptions();

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
