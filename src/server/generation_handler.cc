#include "server/generation_handler.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/cpu_time.h"
#include "engine/engine.h"
#include "engine/loaded_model.h"
#include "server/message_text.h"
#include "telemetry/log.h"

namespace autoglm {
namespace {

int64_t UnixSeconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

constexpr int64_t kRetryAfterPressureSeconds = 5;

// Adds what this thread computes while it lives to the request's record.
class HandlingCost {
 public:
  explicit HandlingCost(ActiveRequest& active) : active_(active) {}
  HandlingCost(const HandlingCost&) = delete;
  HandlingCost& operator=(const HandlingCost&) = delete;
  ~HandlingCost() {
    const Duration cpu = ThreadCpuTime() - before_;
    active_.Update([cpu](RequestRecord& record) { record.cpu_ns += Nanoseconds(cpu); });
  }

 private:
  ActiveRequest& active_;
  const Duration before_ = ThreadCpuTime();
};

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

StreamOrigin OriginOf(const ResponseHead& head, const GenerationPlan& plan, int64_t context_length) {
  const std::vector<TokenId>& prompt = plan.prompts.front();
  return {.id = head.id,
          .created_unix_seconds = head.created_unix_seconds,
          .seed = static_cast<int64_t>(*plan.params.sampling.seed),
          .model = head.model,
          .num_prompt_tokens = std::ssize(prompt),
          .num_cached_tokens = 0,  // until the engine says
          .max_tokens = MaxTokensOf(plan, prompt, context_length)};
}

}  // namespace

GenerationHandler::GenerationHandler(GenerationOptions options, GenerationHost& host, DeliveryThread& delivery,
                                     ServerMetrics& metrics, IdSource& ids, const Clock& clock)
    : options_(std::move(options)),
      host_(host),
      delivery_(delivery),
      metrics_(metrics),
      ids_(ids),
      clock_(clock),
      limiter_(clock) {}

void GenerationHandler::Handle(const Call& call, ParsedGeneration parsed, WriterFactory make_writer) {
  Result<RequestTerms> terms = ReadTerms(*call.request, parsed.params(), *call.principal, options_.slo_classes);
  if (!terms) return host_.ReplyError(call, terms.error(), 0);
  const std::string name = parsed.params().model;
  const auto work = std::make_shared<Work>(
      Work{.call = call, .parsed = std::move(parsed), .terms = *std::move(terms), .make_writer = std::move(make_writer)});
  call.channel.active->Enter(Stage::kModelLoad);
  host_.WithModel(call, name, [this, work](const ServedModel& model) { Generate(work, model); });
}

void GenerationHandler::Generate(std::shared_ptr<Work> work, const ServedModel& model) {
  ActiveRequest& active = *work->call.channel.active;
  const ScopedLogTrace trace(&active);
  const HandlingCost cost(active);
  RecordQuestion(*work, model.name(), active);
  const double pressure = model.engine().Pressure();
  const std::string replacement = ReplacementOf(model, *work, pressure);
  if (!replacement.empty() && !std::exchange(work->has_changed_model, true)) {
    if (!work->parsed.params().continuation) work->degraded.emplace_back(kDegradedModel);
    return host_.WithModel(work->call, replacement, [this, work](const ServedModel& other) { Generate(work, other); });
  }
  Result<GenerationPlan> plan = PlanGeneration(work->parsed, model, active);
  if (!plan) return host_.ReplyError(work->call, plan.error(), 0);
  active.Enter(Stage::kRateLimit);
  if (const Status status = Limit(*work, *plan, pressure); !status) {
    return host_.ReplyError(work->call, status.error(), kRetryAfterPressureSeconds);
  }
  plan->is_resumable = IsResumable(*work, *plan);
  if (plan->is_resumable && !plan->params.sampling.seed) plan->params.sampling.seed = static_cast<uint64_t>(ids_.NextSeed());
  auto permit = Permitted(*work, *plan, model);
  if (!permit) return host_.ReplyError(work->call, permit.error().error, permit.error().retry_after_seconds);
  for (auto& header : permit->limits().Headers()) work->call.channel.headers.push_back(std::move(header));
  active.Enter(Stage::kAdmission);
  auto choices = SubmitChoices(*plan, model, work->call.channel.request_id, work->terms);
  if (!choices) return host_.ReplyError(work->call, choices.error().error, choices.error().retry_after_seconds);
  active.Enter(Stage::kQueue);  // the engine will say more
  if (active.keeps_text()) active.SetInputMessages(InputMessagesJson(work->parsed));
  StartAnswer(*work, model, *plan, *std::move(choices), *std::move(permit));
}

// What is asked, so that it can be told while it is answered, too.
void GenerationHandler::RecordQuestion(const Work& work, const std::string& model_name, ActiveRequest& active) {
  const GenerationParams& params = work.parsed.params();
  active.Update([&](RequestRecord& record) {
    record.model = active.NameIndex(model_name);
    record.slo_class = active.NameIndex(work.terms.slo_class);
    record.num_choices = static_cast<uint8_t>(std::clamp<int64_t>(params.num_choices, 0, UINT8_MAX));
    record.max_tokens = static_cast<float>(params.max_tokens.value_or(0));
    record.temperature = static_cast<float>(params.sampling.temperature);
    record.top_p = static_cast<float>(params.sampling.top_p);
  });
}

std::string GenerationHandler::ReplacementOf(const ServedModel& model, const Work& work, double pressure) const {
  if (const auto& continuation = work.parsed.params().continuation) {
    return continuation->origin.model == model.name() ? "" : continuation->origin.model;
  }
  const std::string& smaller = options_.degradation.smaller_model;
  const bool goes =
      GoesToSmallerModel(options_.degradation, pressure, model.name()) && work.call.principal->policy.MayUse(smaller);
  return goes ? smaller : "";
}

bool GenerationHandler::IsResumable(const Work& work, const GenerationPlan& plan) {
  return work.make_writer == nullptr && plan.params.stream && plan.num_choices() == 1 &&
         work.call.request->Header("x-autoglm-resume") == "tokens";
}

// What the caller's policy leaves of the request, and the pressure of that. An answer that another server began keeps the length
// it was begun with, and what was begun is finished.
Status GenerationHandler::Limit(Work& work, GenerationPlan& plan, double pressure) {
  const auto& continuation = plan.params.continuation;
  const Urgency urgency{
      .target = work.terms.target, .standard_target = options_.slo_classes.at(kStandardClass), .priority = work.terms.priority};
  if (!continuation && IsRefusedUnderPressure(options_.degradation, pressure, urgency)) {
    metrics_.DegradedRequests(kDegradedRefused).Increment();
    return Fail(ErrorCode::kUnavailable, "The server is busy and takes no requests that can wait; try again later.");
  }
  size_t longest = 0;
  for (const auto& prompt : plan.prompts) longest = std::max(longest, prompt.size());
  AUTOGLM_TRY(plan.params.max_tokens,
              AllowedMaxTokens(plan.params.max_tokens, static_cast<int64_t>(longest), work.call.principal->policy));
  constexpr int64_t kNoCap = int64_t{1} << 40;
  if (continuation) {
    const int64_t begun_with = continuation->origin.max_tokens.value_or(kNoCap);
    if (begun_with < plan.params.max_tokens.value_or(kNoCap)) plan.params.max_tokens = begun_with;
    return {};
  }
  Degradable asked{.max_tokens = plan.params.max_tokens.value_or(kNoCap), .num_choices = plan.params.num_choices};
  for (std::string& step : Degrade(options_.degradation, pressure, asked)) work.degraded.push_back(std::move(step));
  if (asked.max_tokens < kNoCap) plan.params.max_tokens = asked.max_tokens;
  plan.params.num_choices = asked.num_choices;
  for (const std::string& step : work.degraded) metrics_.DegradedRequests(step).Increment();
  if (!work.degraded.empty()) work.call.channel.headers.emplace_back("x-degraded", Joined(work.degraded));
  return {};
}

tl::expected<Permit, Refusal> GenerationHandler::Permitted(const Work& work, const GenerationPlan& plan,
                                                           const ServedModel& model) {
  int64_t num_tokens = 0;
  for (const auto& prompt : plan.prompts) {
    const int64_t num_prompt_tokens = std::ssize(prompt);
    const int64_t rest = std::max<int64_t>(1, model.engine().context_length() - num_prompt_tokens);
    num_tokens += num_prompt_tokens + plan.params.num_choices * std::min(plan.params.max_tokens.value_or(rest), rest);
  }
  auto permit = limiter_.Acquire(*work.call.principal, num_tokens);
  if (permit) return *std::move(permit);
  return tl::unexpected(Refusal{permit.error().error, permit.error().retry_after_seconds});
}

void GenerationHandler::StartAnswer(const Work& work, const ServedModel& served, const GenerationPlan& plan,
                                    std::vector<AnswerChoice> choices, Permit permit) {
  RequestOutcome outcome = host_.OutcomeOf(work.call);
  outcome.model = served.name();
  outcome.key_id = work.call.principal->key_id;
  outcome.slo_class = work.terms.slo_class;
  outcome.num_choices = std::ssize(choices);
  auto answer = std::make_shared<Answer>(Answer::Parts{.engine = served.lease(),
                                                       .choices = std::move(choices),
                                                       .writer = MakeWriter(work, served, plan),
                                                       .exchange = work.call.channel.exchange,
                                                       .outcome = std::move(outcome),
                                                       .permit = std::move(permit)},
                                         delivery_, metrics_, clock_);
  delivery_.Add(std::move(answer));
}

ResponseHead GenerationHandler::HeadOf(const ServedModel& served, const GenerationPlan& plan) {
  ResponseHead head{.kind = plan.kind, .model = served.name(), .system_fingerprint = served.system_fingerprint()};
  if (const auto& continuation = plan.params.continuation) {
    head.id = continuation->origin.id;
    head.created_unix_seconds = continuation->origin.created_unix_seconds;
  } else {
    head.id = (plan.kind == ResponseKind::kChatCompletion ? "chatcmpl-" : "cmpl-") + ids_.NextHex();
    head.created_unix_seconds = UnixSeconds();
  }
  return head;
}

std::unique_ptr<AnswerWriter> GenerationHandler::MakeWriter(const Work& work, const ServedModel& served,
                                                            const GenerationPlan& plan) {
  if (work.make_writer) return work.make_writer(served, plan);
  const ReplyChannel& channel = work.call.channel;
  ResponseHead head = HeadOf(served, plan);
  if (!plan.params.stream) return MakeWholeWriter(channel, std::move(head), plan.num_choices(), clock_);
  StreamOptions stream{.usage = plan.params.include_usage ? StreamUsage::kInclude : StreamUsage::kOmit,
                       .ping_interval = options_.ping_interval,
                       .is_continued = plan.params.continuation.has_value()};
  if (plan.is_resumable) stream.origin = OriginOf(head, plan, served.engine().context_length());
  return MakeStreamWriter(channel, head, plan.num_choices(), stream, clock_);
}

}  // namespace autoglm
