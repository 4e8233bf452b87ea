#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"
#include "openai/chat_completion_request.h"
#include "openai/completion_request.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace autoglm {

// Turns what a client wrote into prompt tokens for one model. Any thread.
class PromptEncoder {
 public:
  // `tokenizer` and `chat_template` (nullptr where the model has none) outlive the encoder.
  PromptEncoder(const Tokenizer& tokenizer, const ChatTemplate* chat_template, int64_t context_length);

  // Renders the chat template. What users wrote never becomes a control token. Errors: kUnsupported without a template,
  // or for tools that the template has no place for, kInvalidArgument with what the template refused, kContextLengthExceeded.
  // `on_rendered` is called between rendering and tokenising.
  Result<std::vector<TokenId>> EncodeChat(const ChatCompletionRequest& request,
                                          const std::function<void()>& on_rendered = nullptr) const;

  // A raw prompt may spell special tokens: whoever writes the whole prompt writes its structure, too. Token ids stay as
  // they are. Errors: kInvalidArgument where nothing is left to compute, kContextLengthExceeded.
  Result<std::vector<TokenId>> EncodeCompletion(const CompletionPrompt& prompt) const;

 private:
  Result<std::vector<TokenId>> EncodeText(const std::string& text) const;
  Json TemplateContext(const ChatCompletionRequest& request) const;
  void PrependBos(std::vector<TokenId>& tokens) const;
  Status CheckFits(size_t num_bytes, const char* param) const;
  bool WritesTools() const;

  const Tokenizer& tokenizer_;
  const ChatTemplate* chat_template_;
  int64_t context_length_;
  int64_t max_token_bytes_;  // of the longest token
  bool writes_tools_;        // the template tells the model which tools it has
};

}  // namespace autoglm
