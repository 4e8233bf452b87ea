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

const std::string& ParsedGeneration::model() const {
  return std::visit([](const auto& parsed) -> const std::string& { return parsed.params.model; }, request);
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

Result<std::vector<AnswerChoice>> SubmitChoices(const GenerationPlan& plan, const ServedModel& model,
                                                const std::string& request_id) {
  std::vector<AnswerChoice> choices;
  choices.reserve(plan.num_choices());
  for (size_t prompt = 0; prompt < plan.prompts.size(); ++prompt) {
    for (int64_t choice = 0; choice < plan.params.num_choices; ++choice) {
      const SamplingParams sampling = SamplingOf(plan, plan.prompts[prompt], model.engine().context_length(), choice);
      Result<std::shared_ptr<TokenStream>> stream = model.engine().Submit(
          {.id = request_id, .prompt_tokens = plan.prompts[prompt], .sampling = sampling, .priority = plan.params.priority});
      if (!stream) {
        for (const AnswerChoice& submitted : choices) submitted.generation.Cancel();
        Error error = std::move(stream).error();
        if (error.code == ErrorCode::kContextLengthExceeded) error.param = PromptField(plan.kind);
        return tl::unexpected<Error>(std::move(error));
      }
      choices.push_back(
          {.prompt_index = prompt, .generation = TextGeneration(model.tokenizer(), sampling.stop, *std::move(stream))});
    }
  }
  return choices;
}

}  // namespace autoglm
