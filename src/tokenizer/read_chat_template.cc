#include "tokenizer/read_chat_template.h"

#include <optional>
#include <string>
#include <utility>

#include "tokenizer/tokenizer_folder.h"

namespace autoglm {

Result<std::unique_ptr<ChatTemplate>> ReadChatTemplate(const GgufFile& file) {
  const std::string* source = file.FindString("tokenizer.chat_template");
  if (source == nullptr) return nullptr;
  return ChatTemplate::Parse(*source);
}

Result<std::unique_ptr<ChatTemplate>> ReadChatTemplate(const std::filesystem::path& folder) {
  AUTOGLM_TRY(std::optional<std::string> source, ReadChatTemplateSource(folder));
  if (!source) return nullptr;
  return ChatTemplate::Parse(*std::move(source));
}

}  // namespace autoglm
