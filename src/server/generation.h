#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "openai/chat_completion_request.h"
#include "openai/completion_request.h"
#include "openai/generation_params.h"
#include "openai/response.h"
#include "server/answer.h"
#include "server/request_terms.h"
#include "server/served_model.h"
#include "telemetry/active_request.h"

namespace autoglm {

// A request that has been understood: what to ask of the engine, and in which form to answer.
struct GenerationPlan {
  ResponseKind kind = ResponseKind::kChatCompletion;
  GenerationParams params;
  std::vector<std::vector<TokenId>> prompts;  // each gets params.num_choices choices
  bool is_resumable = false;                  // the stream says what another server needs to go on with it

  size_t num_choices() const { return prompts.size() * static_cast<size_t>(params.num_choices); }
};

// A body that has been checked, before it is known which model it meets.
struct ParsedGeneration {
  std::variant<ChatCompletionRequest, CompletionRequest> request;

  const GenerationParams& params() const;
};

// Errors name the field at fault.
Result<ParsedGeneration> ParseChatCompletion(std::string_view body);
Result<ParsedGeneration> ParseCompletion(std::string_view body);
// Chat template -> tokens. Errors name the field at fault.
Result<GenerationPlan> PlanGeneration(ParsedGeneration parsed, const ServedModel& model, ActiveRequest& active);

// How long an answer to such a prompt may become.
int64_t MaxTokensOf(const GenerationPlan& plan, const std::vector<TokenId>& prompt, int64_t context_length);

// Hands all choices to the engine, or none. Errors: Engine::SubmitTogether's and ContinueAnswer's.
tl::expected<std::vector<AnswerChoice>, Refusal> SubmitChoices(const GenerationPlan& plan, const ServedModel& model,
                                                               const std::string& request_id, const RequestTerms& terms);

}  // namespace autoglm
