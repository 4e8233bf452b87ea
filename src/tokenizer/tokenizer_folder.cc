#include "tokenizer/tokenizer_folder.h"

#include <fstream>
#include <iterator>
#include <system_error>

#include "tokenizer/sentencepiece_file.h"
#include "tokenizer/tiktoken_file.h"
#include "tokenizer/tokenizer_config.h"
#include "tokenizer/tokenizer_json.h"

namespace autoglm {
namespace {

constexpr uintmax_t kFileBytesMax = uintmax_t{256} << 20;

// nullopt where there is no such file.
Result<std::optional<std::string>> ReadIfThere(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return std::nullopt;
  const uintmax_t num_bytes = std::filesystem::file_size(path, error);
  if (error) return Fail(ErrorCode::kIo, path.string() + ": " + error.message());
  if (num_bytes > kFileBytesMax) {
    return Fail(ErrorCode::kPayloadTooLarge, path.string() + " is longer than " + std::to_string(kFileBytesMax) + " bytes");
  }
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file) return Fail(ErrorCode::kIo, path.string() + " cannot be read");
  return text;
}

Result<TokenizerConfig> ReadConfig(const std::filesystem::path& folder) {
  AUTOGLM_TRY(const auto text, ReadIfThere(folder / "tokenizer_config.json"));
  if (!text) return TokenizerConfig();
  return TokenizerConfig::Parse(*text);
}

template <typename T>
Result<T> AtPath(const std::filesystem::path& path, Result<T> result) {
  if (!result) result.error().message.insert(0, path.string() + ": ");
  return result;
}

Result<TokenizerModel> ReadModel(const std::filesystem::path& folder, const TokenizerConfig& config) {
  const auto json_path = folder / "tokenizer.json";
  AUTOGLM_TRY(const auto json, ReadIfThere(json_path));
  if (json) return AtPath(json_path, BuildTokenizerJson(*json));
  const auto model_path = folder / "tokenizer.model";
  AUTOGLM_TRY(const auto model, ReadIfThere(model_path));
  if (!model) return Fail(ErrorCode::kNotFound, folder.string() + " has neither tokenizer.json nor tokenizer.model");
  return AtPath(model_path, LooksLikeTiktoken(*model) ? BuildTiktoken(*model, config.added_tokens)
                                                      : BuildSentencePieceFile(*model, config.added_tokens));
}

}  // namespace

Result<TokenizerModel> ReadTokenizerFolder(const std::filesystem::path& folder, const std::vector<int64_t>& extra_eos_ids) {
  AUTOGLM_TRY(const TokenizerConfig config, AtPath(folder, ReadConfig(folder)));
  AUTOGLM_TRY(TokenizerModel model, ReadModel(folder, config));
  const Status applied = ApplyConfig(config, extra_eos_ids, model);
  if (!applied) return Fail(applied.error().code, folder.string() + ": " + applied.error().message);
  return model;
}

Result<std::optional<std::string>> ReadChatTemplateSource(const std::filesystem::path& folder) {
  AUTOGLM_TRY(auto jinja, ReadIfThere(folder / "chat_template.jinja"));
  if (jinja) return jinja;
  AUTOGLM_TRY(TokenizerConfig config, AtPath(folder, ReadConfig(folder)));
  return std::move(config.chat_template);
}

}  // namespace autoglm
