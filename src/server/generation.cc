#include "server/generation.h"

#include <algorithm>
#include <utility>

namespace autoglm {
namespace {

constexpr size_t kMaxChoicesPerRequest = 32;

const char* PromptField(ResponseKind kind) { return kind == ResponseKind::kChatCompletion ? "messages" : "prompt"; }

SamplingParams SamplingOf(const GenerationPlan& plan, const std::vector<TokenId>& prompt, int64_t context_length,
                          int64_t choice) {
  SamplingParams sampling = plan.params.sampling;
  const int64_t rest_of_context = std::max<int64_t>(context_length - static_cast<int64_t>(prompt.size()), 1);
  sampling.max_tokens = plan.params.max_tokens.value_or(rest_of_context);
  // Choices of one prompt differ, and each is repeatable.
  if (sampling.seed) *sampling.seed += static_cast<uint64_t>(choice);
  return sampling;
}

Result<GenerationPlan> PlanChat(ChatCompletionRequest request, const ServedModel& model) {
  AUTOGLM_TRY(std::vector<TokenId> prompt, model.prompt_encoder().EncodeChat(request));
  GenerationPlan plan{.kind = ResponseKind::kChatCompletion, .params = std::move(request.params), .prompts = {}};
  plan.prompts.push_back(std::move(prompt));
  return plan;
}

Result<GenerationPlan> PlanText(CompletionRequest request, const ServedModel& model) {
  GenerationPlan plan{.kind = ResponseKind::kTextCompletion, .params = std::move(request.params), .prompts = {}};
  for (const CompletionPrompt& text : request.prompts) {
    AUTOGLM_TRY(std::vector<TokenId> prompt, model.prompt_encoder().EncodeCompletion(text));
    plan.prompts.push_back(std::move(prompt));
  }
  if (plan.num_choices() > kMaxChoicesPerRequest) {
    return Fail(ErrorCode::kInvalidArgument,
                "prompts times n must be at most " + std::to_string(kMaxChoicesPerRequest) + ", not " +
                    std::to_string(plan.num_choices()),
                "n");
  }
  return plan;
}

}  // namespace

const GenerationParams& ParsedGeneration::params() const {
  return std::visit([](const auto& parsed) -> const GenerationParams& { return parsed.params; }, request);
}

Result<ParsedGeneration> ParseChatCompletion(std::string_view body) {
  AUTOGLM_TRY(ChatCompletionRequest request, ParseChatCompletionRequest(body));
  return ParsedGeneration{std::move(request)};
}

Result<ParsedGeneration> ParseCompletion(std::string_view body) {
  AUTOGLM_TRY(CompletionRequest request, ParseCompletionRequest(body));
  return ParsedGeneration{std::move(request)};
}

Result<GenerationPlan> PlanGeneration(ParsedGeneration parsed, const ServedModel& model) {
  if (auto* chat = std::get_if<ChatCompletionRequest>(&parsed.request)) return PlanChat(std::move(*chat), model);
  return PlanText(std::get<CompletionRequest>(std::move(parsed.request)), model);
}

tl::expected<std::vector<AnswerChoice>, Refusal> SubmitChoices(const GenerationPlan& plan, const ServedModel& model,
                                                               const std::string& request_id, const RequestTerms& terms) {
  Submission submission{.timeout = terms.timeout, .fingerprint = terms.fingerprint};
  for (const std::vector<TokenId>& prompt : plan.prompts) {
    const CacheScope scope = model.ScopeOf(terms.cache_salt, prompt);
    for (int64_t choice = 0; choice < plan.params.num_choices; ++choice) {
      submission.requests.push_back({.id = request_id,
                                     .prompt_tokens = prompt,
                                     .sampling = SamplingOf(plan, prompt, model.engine().context_length(), choice),
                                     .priority = terms.priority,
                                     .tenant = terms.tenant,
                                     .cache_scope = scope,
                                     .target = terms.target});
    }
  }
  std::vector<std::vector<std::string>> stops;
  stops.reserve(submission.requests.size());
  for (const GenerationRequest& request : submission.requests) stops.push_back(request.sampling.stop);
  auto streams = model.engine().SubmitTogether(std::move(submission));
  if (!streams) {
    Refusal refusal = std::move(streams).error();
    if (refusal.error.code == ErrorCode::kContextLengthExceeded) refusal.error.param = PromptField(plan.kind);
    return tl::unexpected(std::move(refusal));
  }
  std::vector<AnswerChoice> choices;
  choices.reserve(streams->size());
  for (size_t i = 0; i < streams->size(); ++i) {
    choices.push_back({.prompt_index = i / static_cast<size_t>(plan.params.num_choices),
                       .generation = TextGeneration(model.tokenizer(), std::move(stops[i]), std::move((*streams)[i]))});
  }
  return choices;
}

}  // namespace autoglm
