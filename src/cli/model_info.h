#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/json.h"
#include "models/model_config.h"
#include "weights/gguf_file.h"

namespace autoglm {

// What a model file holds, without loading its weights.
struct ModelInfo {
  struct TypeCount {
    std::string name;
    int64_t num_tensors = 0;
    int64_t bytes = 0;  // 0 for a type this program does not know
  };
  struct TokenizerInfo {
    std::string model;  // tokenizer.ggml.model and .pre
    std::string pre;
    int64_t vocab_size = 0;
    bool add_bos = false;
    std::vector<std::string> eos_spellings;
  };

  std::string file;
  int64_t file_bytes = 0;
  int64_t gguf_version = 0;  // 0: a folder of safetensors
  std::string architecture;
  std::string name;
  int64_t num_parameters = 0;
  int64_t num_tensors = 0;
  int64_t tensor_bytes = 0;
  std::vector<TypeCount> types;            // by bytes, largest first
  std::optional<ModelConfig> config;       // where the architecture is supported
  std::optional<TokenizerInfo> tokenizer;  // where it could be read
  bool has_chat_template = false;
  std::vector<std::string> problems;  // why this program could not serve the file; empty where it can

  // Of keys and values in BF16, as served with fast arithmetic. 0 without a config.
  int64_t kv_bytes_per_token() const;
  // Weights, and keys and values of one full context.
  int64_t estimated_memory_bytes() const;
};

// Reads what it can; what cannot be read becomes a problem, not an error.
ModelInfo ReadModelInfo(const GgufFile& file, std::string_view file_name);

// Of a Hugging Face folder. Errors: as SafetensorsFolder::Open.
Result<ModelInfo> ReadFolderInfo(const std::filesystem::path& folder);

std::string FormatModelInfo(const ModelInfo& info);
Json ModelInfoToJson(const ModelInfo& info);

}  // namespace autoglm
