#include "cli/model_info.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include "cli/text_format.h"
#include "models/folder_config.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_folder.h"
#include "weights/safetensors_folder.h"

namespace autoglm {
namespace {

std::string StringOrEmpty(const GgufFile& file, std::string_view key) {
  const std::string* value = file.FindString(key);
  return value == nullptr ? std::string() : *value;
}

void CountTensors(const TensorSource& source, std::span<const GgufFile::UnknownTensor> unknown, ModelInfo& info) {
  std::map<std::string, ModelInfo::TypeCount> types;
  const auto type_count = [&types](const std::string& name) -> ModelInfo::TypeCount& {
    ModelInfo::TypeCount& type = types[name];
    type.name = name;
    ++type.num_tensors;
    return type;
  };
  for (const TensorView& tensor : source.tensors()) {
    type_count(std::string(Info(tensor.dtype).name)).bytes += std::ssize(tensor.bytes);
    info.tensor_bytes += std::ssize(tensor.bytes);
    info.num_parameters += tensor.num_rows() * tensor.num_columns();
  }
  for (const GgufFile::UnknownTensor& tensor : unknown) type_count(fmt::format("type {}", tensor.type_id));
  info.num_tensors = std::ssize(source.tensors()) + std::ssize(unknown);
  for (auto& [name, type] : types) info.types.push_back(std::move(type));
  std::ranges::stable_sort(info.types, std::greater{}, &ModelInfo::TypeCount::bytes);
}

void CountTensors(const GgufFile& file, ModelInfo& info) {
  CountTensors(file, file.unknown_tensors(), info);
  if (!file.unknown_tensors().empty()) {
    info.problems.push_back(fmt::format("tensor {} has type {}, which is not supported", file.unknown_tensors()[0].name,
                                        file.unknown_tensors()[0].type_id));
  }
}

void DescribeTokenizer(const Result<std::unique_ptr<Tokenizer>>& tokenizer, std::string kind, std::string pre, ModelInfo& info) {
  if (!tokenizer) {
    info.problems.push_back(tokenizer.error().message);
    return;
  }
  info.tokenizer = {.model = std::move(kind),
                    .pre = std::move(pre),
                    .vocab_size = (*tokenizer)->vocab_size(),
                    .add_bos = (*tokenizer)->add_bos(),
                    .eos_spellings = {}};
  for (const TokenId token : (*tokenizer)->eos_tokens()) {
    info.tokenizer->eos_spellings.emplace_back((*tokenizer)->TokenSpelling(token));
  }
}

void DescribeChatTemplate(const std::string* source, ModelInfo& info) {
  info.has_chat_template = source != nullptr;
  if (source == nullptr) return;
  const Result<std::unique_ptr<ChatTemplate>> chat_template = ChatTemplate::Parse(*source);
  if (!chat_template) info.problems.push_back("chat template: " + chat_template.error().message);
}

using Rows = std::vector<std::pair<std::string, std::string>>;

void AddConfigRows(const ModelInfo& info, Rows& rows) {
  if (!info.config) return;
  const ModelConfig& config = *info.config;
  rows.emplace_back("layers", fmt::format("{}", config.num_layers));
  rows.emplace_back("hidden size", fmt::format("{}, {} in the MLP", config.hidden_size, config.intermediate_size));
  rows.emplace_back("attention", fmt::format("{} heads over {} key-value heads of {} dimensions", config.num_heads,
                                             config.num_kv_heads, config.head_dim));
  rows.emplace_back("vocabulary", fmt::format("{} tokens", config.vocab_size));
  rows.emplace_back("context", fmt::format("{} tokens", config.context_length));
}

void AddTokenizerRow(const ModelInfo& info, Rows& rows) {
  if (!info.tokenizer) return;
  const ModelInfo::TokenizerInfo& tokenizer = *info.tokenizer;
  // Spellings come from the file, which is nobody's friend: no control characters to the terminal.
  rows.emplace_back(
      "tokenizer",
      StripControlCharacters(fmt::format(
          "{}, {} tokens, {} BOS, ends at {}", tokenizer.pre.empty() ? tokenizer.model : tokenizer.model + " / " + tokenizer.pre,
          tokenizer.vocab_size, tokenizer.add_bos ? "adds" : "no", fmt::join(tokenizer.eos_spellings, " "))));
}

std::string TypesText(const ModelInfo& info) {
  std::string text;
  for (const ModelInfo::TypeCount& type : info.types) {
    text += fmt::format("{}{} {} ({})", text.empty() ? "" : ", ", type.num_tensors, type.name,
                        type.bytes == 0 ? "unknown" : FormatBytes(type.bytes));
  }
  return text;
}

}  // namespace

int64_t ModelInfo::kv_bytes_per_token() const {
  if (!config) return 0;
  constexpr int64_t kBf16Bytes = 2;
  return config->num_layers * config->num_kv_heads * config->head_dim * 2 * kBf16Bytes;
}

int64_t ModelInfo::estimated_memory_bytes() const {
  return tensor_bytes + (config ? config->context_length * kv_bytes_per_token() : 0);
}

ModelInfo ReadModelInfo(const GgufFile& file, std::string_view file_name) {
  ModelInfo info;
  info.file = file_name;
  info.file_bytes = file.file_bytes();
  info.gguf_version = file.version();
  info.architecture = StringOrEmpty(file, "general.architecture");
  info.name = StringOrEmpty(file, "general.name");
  CountTensors(file, info);
  if (Result<ModelConfig> config = ModelConfig::FromGguf(file)) {
    info.config = *std::move(config);
  } else {
    info.problems.push_back(config.error().message);
  }
  DescribeTokenizer(Tokenizer::FromGguf(file), StringOrEmpty(file, "tokenizer.ggml.model"),
                    StringOrEmpty(file, "tokenizer.ggml.pre"), info);
  DescribeChatTemplate(file.FindString("tokenizer.chat_template"), info);
  return info;
}

Result<ModelInfo> ReadFolderInfo(const std::filesystem::path& folder) {
  AUTOGLM_TRY(const std::unique_ptr<SafetensorsFolder> tensors, SafetensorsFolder::Open(folder));
  ModelInfo info;
  info.file = folder.string();
  for (const FileIdentity& file : tensors->Identities()) info.file_bytes += static_cast<int64_t>(file.num_bytes);
  CountTensors(*tensors, {}, info);
  const Result<FolderConfig> config = ReadFolderConfig(folder);
  if (config) {
    info.config = config->config;
    info.architecture = config->config.architecture;
    info.name = config->config.name;
  } else {
    info.problems.push_back(config.error().message);
  }
  std::error_code error;
  const bool has_json = std::filesystem::exists(folder / "tokenizer.json", error);
  DescribeTokenizer(Tokenizer::FromFolder(folder, {}), has_json ? "tokenizer.json" : "tokenizer.model", "", info);
  const Result<std::optional<std::string>> source = ReadChatTemplateSource(folder);
  if (!source) info.problems.push_back(source.error().message);
  DescribeChatTemplate(source && *source ? &**source : nullptr, info);
  return info;
}

std::string FormatModelInfo(const ModelInfo& info) {
  Rows rows = {{"file", info.file},
               {"name", info.name.empty() ? "-" : StripControlCharacters(info.name)},
               {"architecture", StripControlCharacters(info.architecture) +
                                    (info.gguf_version > 0 ? fmt::format(" (GGUF v{})", info.gguf_version) : " (safetensors)")},
               {"parameters", FormatCount(info.num_parameters)},
               {"size", fmt::format("{} in {} tensors", FormatBytes(info.file_bytes), info.num_tensors)},
               {"types", TypesText(info)}};
  AddConfigRows(info, rows);
  AddTokenizerRow(info, rows);
  rows.emplace_back("chat template", info.has_chat_template ? "yes" : "no");
  if (info.config) {
    rows.emplace_back("memory", fmt::format("{} of weights + {} per token of context = {} at {} tokens",
                                            FormatBytes(info.tensor_bytes), FormatBytes(info.kv_bytes_per_token()),
                                            FormatBytes(info.estimated_memory_bytes()), info.config->context_length));
  }
  rows.emplace_back("can be served", info.problems.empty() ? "yes" : "no");
  for (const std::string& problem : info.problems) rows.emplace_back("", StripControlCharacters(problem));
  return FormatTable(rows);
}

Json ModelInfoToJson(const ModelInfo& info) {
  Json json = {{"file", info.file},
               {"file_bytes", info.file_bytes},
               {"gguf_version", info.gguf_version},
               {"architecture", info.architecture},
               {"name", info.name},
               {"parameters", info.num_parameters},
               {"tensors", info.num_tensors},
               {"tensor_bytes", info.tensor_bytes}};
  json["types"] = Json::array();
  for (const ModelInfo::TypeCount& type : info.types) {
    json["types"].push_back({{"type", type.name}, {"tensors", type.num_tensors}, {"bytes", type.bytes}});
  }
  if (info.config) {
    json["layers"] = info.config->num_layers;
    json["hidden_size"] = info.config->hidden_size;
    json["intermediate_size"] = info.config->intermediate_size;
    json["heads"] = info.config->num_heads;
    json["kv_heads"] = info.config->num_kv_heads;
    json["head_dim"] = info.config->head_dim;
    json["vocab_size"] = info.config->vocab_size;
    json["context_length"] = info.config->context_length;
    json["kv_bytes_per_token"] = info.kv_bytes_per_token();
    json["estimated_memory_bytes"] = info.estimated_memory_bytes();
  }
  if (info.tokenizer) {
    json["tokenizer"] = {{"model", info.tokenizer->model},
                         {"pre", info.tokenizer->pre},
                         {"vocab_size", info.tokenizer->vocab_size},
                         {"add_bos", info.tokenizer->add_bos},
                         {"eos", info.tokenizer->eos_spellings}};
  }
  json["chat_template"] = info.has_chat_template;
  json["problems"] = info.problems;
  return json;
}

}  // namespace autoglm
