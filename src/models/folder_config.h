#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/result.h"
#include "models/model_config.h"

namespace autoglm {

// What config.json and generation_config.json of a Hugging Face folder say.
struct FolderConfig {
  ModelConfig config;
  std::vector<int64_t> eos_tokens;  // of both; a chat model's further ends of an answer stand in the second
};

// Errors: kNotFound without config.json; kCorruptFile and kUnsupported as ModelConfig::FromJson.
Result<FolderConfig> ReadFolderConfig(const std::filesystem::path& folder);

}  // namespace autoglm
