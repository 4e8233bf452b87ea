#include "server/generation.h"

#include <algorithm>
#include <utility>

#include "server/continued_answer.h"

namespace autoglm {
namespace {

constexpr size_t kMaxChoicesPerRequest = 32;

const char* PromptField(ResponseKind kind) { return kind == ResponseKind::kChatCompletion ? "messages" : "prompt"; }

GenerationRequest RequestFor(const GenerationPlan& plan, const std::vector<TokenId>& prompt, int64_t choice,
                             const ServedModel& model, const std::string& request_id, const RequestTerms& terms) {
  GenerationRequest request{.id = request_id,
                            .prompt_tokens = prompt,
                            .sampling = plan.params.sampling,
                            .priority = terms.priority,
                            .tenant = terms.tenant,
                            .cache_scope = model.ScopeOf(terms.cache_salt, prompt),
                            .target = terms.target};
  request.sampling.max_tokens = MaxTokensOf(plan, prompt, model.engine().context_length());
  // Choices of one prompt differ, and each is repeatable.
  if (request.sampling.seed) *request.sampling.seed += static_cast<uint64_t>(choice);
  return request;
}

Result<GenerationPlan> PlanChat(ChatCompletionRequest request, const ServedModel& model, ActiveRequest& active) {
  active.Enter(Stage::kTemplate);
  AUTOGLM_TRY(std::vector<TokenId> prompt,
              model.prompt_encoder().EncodeChat(request, [&active] { active.Enter(Stage::kTokenize); }));
  GenerationPlan plan{.kind = ResponseKind::kChatCompletion, .params = std::move(request.params), .prompts = {}};
  plan.prompts.push_back(std::move(prompt));
  return plan;
}

Result<GenerationPlan> PlanText(CompletionRequest request, const ServedModel& model, ActiveRequest& active) {
  active.Enter(Stage::kTokenize);
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

tl::expected<std::vector<std::shared_ptr<TokenStream>>, Refusal> Submit(Submission submission, ResponseKind kind,
                                                                        const ServedModel& model) {
  auto streams = model.engine().SubmitTogether(std::move(submission));
  if (!streams && streams.error().error.code == ErrorCode::kContextLengthExceeded)
    streams.error().error.param = PromptField(kind);
  return streams;
}

// Goes on with an answer that another server began; without the engine where it is complete.
tl::expected<std::vector<AnswerChoice>, Refusal> SubmitContinued(const GenerationPlan& plan, const ServedModel& model,
                                                                 const std::string& request_id, const RequestTerms& terms) {
  const Continuation& continuation = *plan.params.continuation;
  const auto num_prompt_tokens = std::ssize(plan.prompts.front());
  GenerationRequest request = RequestFor(plan, plan.prompts.front(), 0, model, request_id, terms);
  Result<ContinuedAnswer> answer = ContinueAnswer(continuation, {.tokenizer = model.tokenizer(),
                                                                 .sampling = request.sampling,
                                                                 .num_prompt_tokens = num_prompt_tokens,
                                                                 .context_length = model.engine().context_length()});
  if (!answer) return tl::unexpected(Refusal{.error = std::move(answer).error()});
  std::shared_ptr<TokenStream> stream;
  if (answer->finish) {
    stream = TokenStream::MakeEnded(*answer->finish, num_prompt_tokens);
  } else {
    request.num_continued = std::ssize(answer->tokens);
    request.prompt_tokens.insert(request.prompt_tokens.end(), answer->tokens.begin(), answer->tokens.end());
    Submission submission{.timeout = terms.timeout, .fingerprint = terms.fingerprint};
    submission.requests.push_back(std::move(request));
    auto streams = Submit(std::move(submission), plan.kind, model);
    if (!streams) return tl::unexpected(std::move(streams).error());
    stream = std::move(streams->front());
  }
  std::vector<AnswerChoice> choices;
  choices.push_back({.generation = TextGeneration(std::move(answer->text), std::move(stream)),
                     .num_cached_tokens = continuation.origin.num_cached_tokens});
  return choices;
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

Result<GenerationPlan> PlanGeneration(ParsedGeneration parsed, const ServedModel& model, ActiveRequest& active) {
  if (auto* chat = std::get_if<ChatCompletionRequest>(&parsed.request)) return PlanChat(std::move(*chat), model, active);
  return PlanText(std::get<CompletionRequest>(std::move(parsed.request)), model, active);
}

int64_t MaxTokensOf(const GenerationPlan& plan, const std::vector<TokenId>& prompt, int64_t context_length) {
  return plan.params.max_tokens.value_or(std::max<int64_t>(context_length - std::ssize(prompt), 1));
}

tl::expected<std::vector<AnswerChoice>, Refusal> SubmitChoices(const GenerationPlan& plan, const ServedModel& model,
                                                               const std::string& request_id, const RequestTerms& terms) {
  if (plan.params.continuation) return SubmitContinued(plan, model, request_id, terms);
  Submission submission{.timeout = terms.timeout, .fingerprint = terms.fingerprint};
  for (const std::vector<TokenId>& prompt : plan.prompts) {
    for (int64_t choice = 0; choice < plan.params.num_choices; ++choice) {
      submission.requests.push_back(RequestFor(plan, prompt, choice, model, request_id, terms));
    }
  }
  auto streams = Submit(std::move(submission), plan.kind, model);
  if (!streams) return tl::unexpected(std::move(streams).error());
  std::vector<AnswerChoice> choices;
  choices.reserve(streams->size());
  for (size_t i = 0; i < streams->size(); ++i) {
    choices.push_back(
        {.prompt_index = i / static_cast<size_t>(plan.params.num_choices),
         .generation = TextGeneration(AnswerText(model.tokenizer(), plan.params.sampling.stop), std::move((*streams)[i]))});
  }
  return choices;
}

}  // namespace autoglm
