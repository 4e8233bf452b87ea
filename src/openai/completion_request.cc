#include "openai/completion_request.h"

#include <limits>
#include <optional>
#include <utility>

namespace autoglm {
namespace {

Result<CompletionPrompt> ReadTokenPrompt(const JsonFields& body, const Json& ids) {
  std::vector<TokenId> tokens;
  tokens.reserve(ids.size());
  for (const Json& id : ids) {
    const std::optional<int64_t> token = JsonInteger(id);
    if (!token || *token < 0 || *token > std::numeric_limits<TokenId>::max())
      return body.Refuse("prompt", "has an entry that is no token id");
    tokens.push_back(static_cast<TokenId>(*token));
  }
  if (tokens.empty()) return body.Refuse("prompt", "has an empty list of tokens");
  return tokens;
}

// A string, a list of strings, a list of token ids, or a list of such lists.
Result<std::vector<CompletionPrompt>> ReadPrompts(const JsonFields& body) {
  const Json* prompt = body.Find("prompt");
  if (prompt == nullptr) return body.Refuse("prompt", "is missing");
  if (prompt->is_string()) return std::vector<CompletionPrompt>{prompt->get<std::string>()};
  if (!prompt->is_array()) {
    return body.Refuse("prompt",
                       "must be a string, a list of strings or a list of token ids, not " + std::string(JsonTypeName(*prompt)));
  }
  if (prompt->empty()) return body.Refuse("prompt", "must not be an empty list");
  std::vector<CompletionPrompt> prompts;
  if (prompt->front().is_number()) {
    AUTOGLM_TRY(CompletionPrompt tokens, ReadTokenPrompt(body, *prompt));
    prompts.push_back(std::move(tokens));
    return prompts;
  }
  if (static_cast<int64_t>(prompt->size()) > kMaxPromptsPerRequest) {
    return body.Refuse("prompt", "must hold at most " + std::to_string(kMaxPromptsPerRequest) + " prompts");
  }
  for (const Json& entry : *prompt) {
    if (entry.is_string()) {
      prompts.emplace_back(entry.get<std::string>());
    } else if (entry.is_array()) {
      AUTOGLM_TRY(CompletionPrompt tokens, ReadTokenPrompt(body, entry));
      prompts.push_back(std::move(tokens));
    } else {
      return body.Refuse("prompt",
                         "holds " + std::string(JsonTypeName(entry)) + " where a string or a list of token ids is wanted");
    }
  }
  return prompts;
}

Status RefuseUnsupported(const JsonFields& body) {
  AUTOGLM_TRY(const std::optional<bool> echo, body.Bool("echo"));
  AUTOGLM_TRY(const std::optional<std::string> suffix, body.String("suffix"));
  AUTOGLM_TRY(const std::optional<int64_t> best_of, body.Integer("best_of"));
  const auto unsupported = [](const char* field) {
    return Fail(ErrorCode::kUnsupported, std::string(field) + " is not supported; leave it out", field);
  };
  // Here a number counts alternatives, and 0 still asks for the logprobs of the answer itself.
  const Json* logprobs = body.Find("logprobs");
  if (logprobs != nullptr && logprobs->is_number()) return unsupported("logprobs");
  if (echo.value_or(false)) return unsupported("echo");
  if (!suffix.value_or("").empty()) return unsupported("suffix");
  if (best_of.value_or(1) != 1) return unsupported("best_of");
  return {};
}

}  // namespace

Result<CompletionRequest> ParseCompletionRequest(std::string_view body) {
  AUTOGLM_TRY(const Json json, ParseJson(body));
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(json));
  CompletionRequest request;
  AUTOGLM_TRY(request.params, ReadGenerationParams(fields));
  AUTOGLM_TRY_VOID(RefuseUnsupported(fields));
  AUTOGLM_TRY(request.prompts, ReadPrompts(fields));
  if (request.params.continuation && request.prompts.size() != 1) {
    return fields.Refuse("prompt", "must be one where an answer is continued");
  }
  if (!request.params.max_tokens) request.params.max_tokens = kDefaultCompletionTokens;
  return request;
}

}  // namespace autoglm
