// Request bodies: whatever the bytes are, they are refused with a reason or become a request that holds what it promises.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "json/json.h"
#include "openai/chat_completion_request.h"
#include "openai/completion_request.h"
#include "openai/error.h"

namespace autoglm {
namespace {

void CheckError(const Error& error) {
  AUTOGLM_CHECK(!error.message.empty());
  const ErrorBody body = ErrorBodyOf(error);
  AUTOGLM_CHECK(body.status == 400 || body.status == 413);
  AUTOGLM_CHECK(ParseJson(ErrorJson(body)).has_value());
}

void CheckParams(const GenerationParams& params) {
  AUTOGLM_CHECK(params.num_choices >= 1 && params.num_choices <= kMaxChoicesPerPrompt);
  AUTOGLM_CHECK(!params.max_tokens || *params.max_tokens >= 1);
}

void CheckMessages(const Json& messages) {
  AUTOGLM_CHECK(!messages.empty());
  for (const Json& message : messages) AUTOGLM_CHECK(message.at("role").is_string() && message.at("content").is_string());
  (void)DumpJson(messages);
}

}  // namespace
}  // namespace autoglm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t num_bytes) {
  using namespace autoglm;
  const std::string_view body(reinterpret_cast<const char*>(data), num_bytes);
  if (const auto chat = ParseChatCompletionRequest(body)) {
    CheckParams(chat->params);
    CheckMessages(chat->messages);
    AUTOGLM_CHECK(chat->chat_template_kwargs.is_object());
  } else {
    CheckError(chat.error());
  }
  if (const auto completion = ParseCompletionRequest(body)) {
    CheckParams(completion->params);
    AUTOGLM_CHECK(!completion->prompts.empty() && completion->params.max_tokens);
  } else {
    CheckError(completion.error());
  }
  return 0;
}
