#include "models/folder_config.h"

#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <utility>

#include "json/json.h"
#include "models/config_reader.h"

namespace autoglm {
namespace {

constexpr std::streamoff kConfigBytesMax = 1 << 20;

Result<Json> ReadConfig(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return Fail(ErrorCode::kNotFound, path.string() + ": cannot be opened");
  if (file.tellg() > kConfigBytesMax) return Fail(ErrorCode::kCorruptFile, path.string() + ": is larger than 1 MiB");
  file.seekg(0);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  Result<Json> json = ParseJson(text);
  if (!json) return Fail(ErrorCode::kCorruptFile, path.string() + ": " + json.error().message);
  return json;
}

}  // namespace

Result<FolderConfig> ReadFolderConfig(const std::filesystem::path& folder) {
  AUTOGLM_TRY(const Json json, ReadConfig(folder / "config.json"));
  AUTOGLM_TRY(ModelConfig config, ModelConfig::FromJson(json));
  std::vector<int64_t> eos_tokens = config.eos_tokens;
  const std::filesystem::path generation = folder / "generation_config.json";
  std::error_code error;
  if (std::filesystem::exists(generation, error)) {
    AUTOGLM_TRY(const Json more_json, ReadConfig(generation));
    AUTOGLM_TRY(const std::vector<int64_t> more, ReadEosTokens(more_json));
    eos_tokens.insert(eos_tokens.end(), more.begin(), more.end());
  }
  return FolderConfig{.config = std::move(config), .eos_tokens = std::move(eos_tokens)};
}

}  // namespace autoglm
