#include "prompts/prompt_model.h"

#include <fmt/format.h>

#include <limits>
#include <string>
#include <system_error>
#include <utility>

#include "tokenizer/read_chat_template.h"
#include "weights/gguf_file.h"

namespace autoglm {
namespace {

struct Parts {
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<ChatTemplate> chat_template;
};

Result<Parts> ReadFile(const std::filesystem::path& path) {
  Parts parts;
  AUTOGLM_TRY(const std::unique_ptr<GgufFile> file, GgufFile::Open(path));
  AUTOGLM_TRY(parts.tokenizer, Tokenizer::FromGguf(*file));
  AUTOGLM_TRY(parts.chat_template, ReadChatTemplate(*file));
  return parts;
}

Result<Parts> ReadFolder(const std::filesystem::path& path) {
  Parts parts;
  AUTOGLM_TRY(parts.tokenizer, Tokenizer::FromFolder(path, {}));
  AUTOGLM_TRY(parts.chat_template, ReadChatTemplate(path));
  return parts;
}

}  // namespace

Result<std::shared_ptr<const PromptModel>> PromptModel::Load(const std::filesystem::path& path) {
  std::error_code error;
  Result<Parts> parts = std::filesystem::is_directory(path, error) ? ReadFolder(path) : ReadFile(path);
  if (!parts) {
    const std::string& message = parts.error().message;
    const bool is_named = message.find(path.string()) != std::string::npos;
    return Fail(parts.error().code, is_named ? message : fmt::format("{}: {}", path.string(), message));
  }
  return std::shared_ptr<const PromptModel>(new PromptModel(std::move(parts->tokenizer), std::move(parts->chat_template)));
}

PromptModel::PromptModel(std::unique_ptr<Tokenizer> tokenizer, std::unique_ptr<ChatTemplate> chat_template)
    : tokenizer_(std::move(tokenizer)),
      chat_template_(std::move(chat_template)),
      encoder_(*tokenizer_, chat_template_.get(), std::numeric_limits<int64_t>::max()) {}

}  // namespace autoglm
