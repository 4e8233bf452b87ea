#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "openai/generation_params.h"

namespace autoglm {

inline constexpr int64_t kMaxPromptsPerRequest = 16;
inline constexpr int64_t kDefaultCompletionTokens = 16;

// Text, or token ids that are taken as they are.
using CompletionPrompt = std::variant<std::string, std::vector<TokenId>>;

// The body of POST /v1/completions, checked. The answer has num_choices choices for each prompt, prompt by prompt.
struct CompletionRequest {
  GenerationParams params;                // max_tokens is always set
  std::vector<CompletionPrompt> prompts;  // [1, kMaxPromptsPerRequest]
};

// Errors: as ParseChatCompletionRequest.
Result<CompletionRequest> ParseCompletionRequest(std::string_view body);

}  // namespace autoglm
