#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "tokenizer/tokenizer_model.h"

namespace autoglm {

// The tokenizer of a model folder as Hugging Face lays it out: tokenizer.json, else tokenizer.model (SentencePiece or
// tiktoken), with tokenizer_config.json beside it. `extra_eos_ids` also end an answer. Errors: kNotFound where there is
// neither file, kIo, and those of the readers; the message begins with the file's path.
Result<TokenizerModel> ReadTokenizerFolder(const std::filesystem::path& folder, const std::vector<int64_t>& extra_eos_ids);

// The source of the folder's chat template: chat_template.jinja, else what tokenizer_config.json says; nullopt where there
// is none. Errors: kIo, kCorruptFile, kPayloadTooLarge.
Result<std::optional<std::string>> ReadChatTemplateSource(const std::filesystem::path& folder);

}  // namespace autoglm
