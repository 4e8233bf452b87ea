#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "prompts/prompt_encoder.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace autoglm {

// What a model makes of prompts, without its weights: tokenizer and chat template. Immutable, so any thread may use it.
class PromptModel {
 public:
  // Of a GGUF file or a Hugging Face folder. Errors: those of reading them, with the path.
  static Result<std::shared_ptr<const PromptModel>> Load(const std::filesystem::path& path);
  PromptModel(const PromptModel&) = delete;
  PromptModel& operator=(const PromptModel&) = delete;

  // Of contexts of any length: what is too long is for the engine to say.
  const PromptEncoder& encoder() const { return encoder_; }

 private:
  PromptModel(std::unique_ptr<Tokenizer> tokenizer, std::unique_ptr<ChatTemplate> chat_template);

  const std::unique_ptr<Tokenizer> tokenizer_;
  const std::unique_ptr<ChatTemplate> chat_template_;  // nullptr: none
  const PromptEncoder encoder_;
};

}  // namespace autoglm
