#pragma once

#include <string_view>

#include "base/result.h"
#include "json/json.h"
#include "openai/generation_params.h"

namespace autoglm {

// The body of POST /v1/chat/completions, checked.
struct ChatCompletionRequest {
  GenerationParams params;
  Json messages;              // at least one, see NormaliseChatMessage
  Json tools;                 // list, or null where there are none or tool_choice is "none"
  Json chat_template_kwargs;  // object: more names for the chat template
  bool add_generation_prompt = true;
};

// Errors: kInvalidArgument for bad JSON, wrong types and ranges; kUnsupported; the field at fault is named.
Result<ChatCompletionRequest> ParseChatCompletionRequest(std::string_view body);

}  // namespace autoglm
