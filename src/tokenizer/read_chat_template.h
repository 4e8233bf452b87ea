#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "tokenizer/chat_template.h"
#include "weights/gguf_file.h"

namespace autoglm {

// The chat template of a model; nullptr where it has none. Errors: those of ReadChatTemplateSource and ChatTemplate::Parse.
Result<std::unique_ptr<ChatTemplate>> ReadChatTemplate(const GgufFile& file);
Result<std::unique_ptr<ChatTemplate>> ReadChatTemplate(const std::filesystem::path& folder);

}  // namespace autoglm
