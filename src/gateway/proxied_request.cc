#include "gateway/proxied_request.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <utility>

#include "gateway/continuation.h"
#include "gateway/upstream_headers.h"
#include "openai/error.h"
#include "routing/prefix_index.h"
#include "telemetry/log.h"
#include "tracing/span.h"
#include "web/reply.h"

namespace autoglm::gateway {
namespace {

using routing::Outcome;

// A client that is this far behind slows its upstream down, until it has caught up a little: an upstream that could write nothing
// for as long as a slow client takes for much would give the answer up.
constexpr int64_t kPauseAboveBytes = 1 << 20;
constexpr int64_t kResumeBelowBytes = kPauseAboveBytes - (32 << 10);
constexpr std::chrono::milliseconds kDrainLook{5};

// Connections that were closed while kept are no failures; more of them than this are.
constexpr int kMaxStale = 3;

// Of a prompt, that decides about its cache: beyond it requests differ anyway.
constexpr size_t kMaxPrefixBytes = 256 << 10;

constexpr int64_t kContextOfAnswerUnknown = 256;

constexpr std::string_view kSlowerOne = "slower_one";  // of two attempts at once, the one that was given up

bool IsCompletion(std::string_view path) { return path.ends_with("/completions"); }

// How an API says the most tokens of an answer; empty where there is no answer of tokens.
std::string_view BoundOf(std::string_view path) {
  if (path.ends_with("/responses")) return "max_output_tokens";
  return IsCompletion(path) || path.ends_with("/messages") ? "max_tokens" : "";
}

std::string_view ReasonType(int status) { return status == 504 ? "timeout" : status == 503 ? "overloaded" : "upstream_error"; }

int StatusOf(const AttemptFailure& failure) {
  if (failure.reason.ends_with("timeout")) return 504;
  return 502;
}

}  // namespace

void ProxiedRequest::Begin(GatewayLoop& loop, std::shared_ptr<const GatewayState> state, std::shared_ptr<Route> route,
                           AdmittedRequest admitted) {
  std::shared_ptr<ProxiedRequest> request(new ProxiedRequest(loop, std::move(state), std::move(route), std::move(admitted)));
  request->keep_alive_ = request;
  request->Run();
}

ProxiedRequest::ProxiedRequest(GatewayLoop& loop, std::shared_ptr<const GatewayState> state, std::shared_ptr<Route> route,
                               AdmittedRequest admitted)
    : loop_(loop),
      state_(std::move(state)),
      admitted_(std::move(admitted)),
      answer_(loop.loop, admitted_.exchange, faults_, loop.random) {
  state_->metrics.open_requests.Increment();
  EnterRoute(std::move(route));
  if (state_->allows_faults && !state_->config.faults.empty()) {
    faults_ =
        PlanFaults(state_->config.faults, route_->name(), admitted_.principal->policy.tenant, *admitted_.request, loop_.random);
  }
}

ProxiedRequest::~ProxiedRequest() { state_->metrics.open_requests.Decrement(); }

void ProxiedRequest::Run() {
  admitted_.exchange->OnClientGone([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->OnClientGone();
  });
  answer_.OnSent([this] { Finish(); });
  if (faults_.empty()) return Dispatch();
  state_->metrics.FaultsInjected(faults_.names).Increment();
  if (faults_.abort_status != 0) {
    return AnswerError(faults_.abort_status, "server_error", "fault_injected", "This answer was put in on purpose.", {});
  }
  if (faults_.delay.count() == 0) return Dispatch();
  admitted_.active->Enter(Stage::kFault);
  wait_timer_ = loop_.loop.CallAfter(faults_.delay, [this] { Dispatch(); });
}

void ProxiedRequest::EnterRoute(std::shared_ptr<Route> route) {
  route_ = std::move(route);
  route_->retry_budget().BeginRequest();
  routes_tried_.push_back(route_->name());
  turn_ = route_->line().TakeNumber();
  tried_.clear();
  if (!route_->uses_prefix() || admitted_.scan.prompt.length == 0) return;
  const std::string_view prompt = admitted_.scan.prompt.In(admitted_.request->body).substr(0, kMaxPrefixBytes);
  const uint64_t salt =
      XXH3_64bits_withSeed(admitted_.scan.model.data(), admitted_.scan.model.size(), admitted_.principal->cache_salt);
  prefix_ = routing::PrefixBlocksOf(prompt, salt);
}

void ProxiedRequest::LeaveRoute() {
  if (std::exchange(is_next_retry_, false)) route_->retry_budget().EndRetry();
  route_->retry_budget().EndRequest();
}

// --- choosing an upstream

void ProxiedRequest::Dispatch() {
  place_.reset();
  wait_timer_.Cancel();
  admitted_.active->Enter(Stage::kRoute);
  if (NeedsTokens() && Tokenise()) return;
  if (num_attempts_ == 0 && route_->line().fill() >= route_->config().degrade.fallback_above && FallBack()) return;
  auto chosen = Choose();
  if (!chosen && !tried_.empty()) {
    // All others failed too: those that did may have recovered.
    tried_.clear();
    return Dispatch();
  }
  if (!chosen) return OnNobody(chosen.error());
  if (num_attempts_ == 0) SendMirrors();
  const Budget budget = std::exchange(is_next_retry_, false) ? Budget::kRetry : Budget::kNone;
  StartAttempt(*std::move(chosen), num_attempts_ == 0 ? AttemptKind::kFirst : AttemptKind::kRetry, budget);
  ArmHedge();
}

bool ProxiedRequest::NeedsTokens() const {
  return route_->exact_prefixes() != nullptr && tokenised_for_ != route_->prompt_model() && admitted_.scan.prompt.length > 0;
}

// Goes on with Dispatch, unless it is false.
bool ProxiedRequest::Tokenise() {
  tokens_.clear();
  tokenised_for_ = route_->prompt_model();
  const auto take = [weak = weak_from_this()](std::vector<TokenId> tokens) {
    const auto self = weak.lock();
    if (self == nullptr || self->keep_alive_ == nullptr) return;
    self->tokens_ = std::move(tokens);
    self->Dispatch();
  };
  admitted_.active->Enter(Stage::kTokenize);
  return state_->tokenizer.Tokenise(tokenised_for_, admitted_.request, loop_.loop, take);
}

Result<routing::Attempt> ProxiedRequest::Choose() {
  const ScannedRequest& scan = admitted_.scan;
  std::vector<std::string_view> except(tried_.begin(), tried_.end());
  const std::string_view region = admitted_.request->Header("x-region");
  const int64_t answer_tokens = scan.max_tokens.value_or(kContextOfAnswerUnknown);
  const TimePoint before = state_->clock.Now();
  std::vector<routing::PrefixMatch> exact;
  if (!tokens_.empty() && route_->exact_prefixes() != nullptr) exact = route_->exact_prefixes()->Find(tokens_);
  auto chosen = route_->pool().Choose({.model = scan.model,
                                       .region = region.empty() ? std::string_view(state_->config.region) : region,
                                       .session = admitted_.session,
                                       .context_tokens = scan.prompt.length == 0 ? 0 : scan.PromptTokens() + answer_tokens,
                                       .prefix = prefix_,
                                       .exact = exact,
                                       .prompt_tokens = std::ssize(tokens_),
                                       .except = except});
  route_->metrics().decision.Observe(Seconds(state_->clock.Now() - before));
  if (chosen && route_->uses_prefix()) route_->metrics().matched.Observe(chosen->matched_share());
  return chosen;
}

void ProxiedRequest::OnNobody(Error error) {
  const bool is_busy = error.code == ErrorCode::kResourceExhausted;
  const QueueConfig& queue = route_->config().queue;
  const bool may_wait = is_busy ? queue.max_wait.count() > 0 : queue.max_wait_for_upstream.count() > 0;
  if (error.code == ErrorCode::kNotFound || error.code == ErrorCode::kContextLengthExceeded) {
    if (FallBack()) return;
    refusal_ = "no_upstream_can";
    return Answer(ErrorReply(error, 0));
  }
  if (!is_busy && FallBack()) return;
  if (may_wait) return WaitInLine(error);
  if (FallBack()) return;
  refusal_ = is_busy ? "upstreams_busy" : "no_upstream";
  return Answer(ErrorReply(error, route_->line().RetryAfterSeconds()));
}

void ProxiedRequest::WaitInLine(const Error& error) {
  const TimePoint now = state_->clock.Now();
  if (waiting_since_ == TimePoint{}) waiting_since_ = now;
  const QueueConfig& queue = route_->config().queue;
  const bool is_busy = error.code == ErrorCode::kResourceExhausted;
  Duration left = (is_busy ? queue.max_wait : queue.max_wait_for_upstream) - (now - waiting_since_);
  if (const auto time_left = TimeLeft()) left = std::min(left, *time_left);
  if (left > Duration::zero()) {
    place_ = route_->line().Join(admitted_.scan.priority.value_or(0), turn_, [weak = weak_from_this(), &loop = loop_.loop] {
      loop.Post([weak] {
        if (const auto self = weak.lock()) self->Dispatch();
      });
    });
  }
  if (place_ == nullptr) {
    if (FallBack()) return;
    refusal_ = left > Duration::zero() ? "line_full" : "waited_too_long";
    return Answer(ErrorReply(error, route_->line().RetryAfterSeconds()));
  }
  admitted_.active->Enter(Stage::kLine);
  wait_timer_ = loop_.loop.CallAfter(left, [this] { Dispatch(); });
}

bool ProxiedRequest::FallBack() {
  for (const std::string& name : route_->config().fallback) {
    const std::shared_ptr<Route>* route = state_->routes->ByName(name);
    if (route == nullptr || std::ranges::find(routes_tried_, name) != routes_tried_.end()) continue;
    route_->metrics().Degraded("fallback").Increment();
    degraded_.push_back("fallback:" + name);
    LeaveRoute();
    EnterRoute(*route);
    waiting_since_ = {};
    Dispatch();
    return true;
  }
  return false;
}

void ProxiedRequest::StartAttempt(routing::Attempt routed, AttemptKind kind, Budget budget) {
  const std::shared_ptr<const Upstream> upstream = route_->Find(routed.upstream());
  if (upstream == nullptr) {
    // It went between being chosen and being looked up.
    tried_.push_back(routed.upstream());
    return Dispatch();
  }
  ++num_attempts_;
  attempts_.push_back(std::make_unique<UpstreamAttempt>(*this, route_, upstream, std::move(routed)));
  UpstreamAttempt& attempt = *attempts_.back();
  attempt.SetNumber(static_cast<size_t>(num_attempts_) - 1);
  if (budget == Budget::kRetry) attempt.MarkAsRetry();
  RecordAttemptBegin(*admitted_.active, attempt, kind);
  const auto answers = admitted_.scan.is_stream ? UpstreamAttempt::Answers::kStreamed : UpstreamAttempt::Answers::kWhole;
  attempt.Send(loop_, UpstreamRequest(attempt), answers, admitted_.request->path);
}

http::ClientRequest ProxiedRequest::UpstreamRequest(const UpstreamAttempt& attempt) {
  const http::Request& request = *admitted_.request;
  const Upstream& upstream = attempt.upstream();
  const ActiveRequest& active = *admitted_.active;
  const TimeoutConfig& timeouts = route_->config().timeouts;
  http::ClientRequest out{.method = request.method, .target = request.path};
  if (!request.query.empty()) out.target.append("?").append(request.query);
  out.headers = UpstreamHeaders(request, upstream.config,
                                {.request_id = admitted_.request_id,
                                 .cache_salt = admitted_.principal->cache_salt,
                                 .client_scheme = state_->config.listen.tls ? "https" : "http",
                                 .trace = active.trace(),
                                 .span = AttemptSpanId(active.span(), attempt.number()),
                                 .is_sampled = AsksToKeepTrace(),
                                 .tracestate = active.context().state,
                                 .speaks_b3 = active.context().speaks_b3,
                                 .trusts_forwarded = state_->config.trusts_forwarded});
  const bool asks_for_tokens = route_->config().continues_streams && upstream.config.engine == EngineKind::kAutoglm &&
                               admitted_.scan.is_stream && admitted_.scan.num_choices == 1 && IsCompletion(request.path);
  if (asks_for_tokens) out.headers.Add("x-autoglm-resume", "tokens");
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") out.body = UpstreamBody(upstream);
  out.timeouts = {.connect = timeouts.connect, .first_byte = timeouts.first_token, .between_bytes = timeouts.between_tokens};
  if (const auto left = TimeLeft()) {
    out.timeouts.total = std::max(std::chrono::ceil<std::chrono::milliseconds>(*left), std::chrono::milliseconds(1));
  }
  return out;
}

// What is sure to be kept here, the upstream shall keep as well; what the client has decided is passed on.
bool ProxiedRequest::AsksToKeepTrace() const {
  if (const auto decided = admitted_.active->context().is_sampled) return *decided;
  const TracingConfig& tracing = state_->config.tracing;
  if (tracing.otlp.empty() && tracing.zipkin.empty()) return false;
  return num_attempts_ > 1 || state_->clock.Now() - admitted_.begun > tracing.slow;
}

// As it came, unless something must be said differently.
std::shared_ptr<const std::string> ProxiedRequest::UpstreamBody(const Upstream& upstream) {
  const std::string& body = admitted_.request->body;
  const ScannedRequest& scan = admitted_.scan;
  const RouteConfig& route = route_->config();
  std::vector<BodyEdit> edits;
  if (!route.rewrite_model.empty() && scan.model_value.length > 0) {
    edits.push_back({.at = scan.model_value, .text = JsonText(route.rewrite_model)});
  }
  std::string first;
  if (num_attempts_ <= 1 && !capped_tokens_ && route_->line().fill() >= route.degrade.cap_tokens_above &&
      scan.max_tokens.value_or(INT64_MAX) > route.degrade.cap_tokens && IsCompletion(admitted_.request->path)) {
    capped_tokens_ = route.degrade.cap_tokens;
    degraded_.push_back("max_tokens");
    route_->metrics().Degraded("max_tokens").Increment();
  }
  // The key's own bound is for requests without one: the upstream does not know it. Others were let in because they keep it.
  std::optional<int64_t> bound = capped_tokens_;
  const int64_t most_of_key = admitted_.principal->policy.max_output_tokens;
  if (!scan.max_tokens && most_of_key > 0) bound = std::min(bound.value_or(most_of_key), most_of_key);
  const std::string_view name = BoundOf(admitted_.request->path);
  if (bound && !name.empty()) {
    for (const JsonSpan& value : scan.max_tokens_values) edits.push_back({.at = value, .text = std::to_string(*bound)});
    if (scan.max_tokens_values.empty()) first += fmt::format("\"{}\":{},", name, *bound);
  }
  // Tenants behind one gateway must not find each other's prefixes by how quickly they are answered.
  if (upstream.config.engine == EngineKind::kVllm && admitted_.principal->cache_salt != 0 && scan.prompt.length > 0) {
    first += fmt::format("\"cache_salt\":\"{:016x}\",", admitted_.principal->cache_salt);
  }
  if (is_continuing_) first += ContinuationMembers(*relay_);
  if (!first.empty()) edits.push_back(FirstMembers(body, std::move(first)));
  if (edits.empty()) return {admitted_.request, &body};
  return std::make_shared<const std::string>(EditBody(body, std::move(edits)));
}

void ProxiedRequest::ArmHedge() {
  if (is_hedge_asked_ || route_->hedging() == nullptr || !IsRepeatable()) return;
  is_hedge_asked_ = true;
  if (const auto delay = route_->hedging()->BeginRequest()) {
    hedge_timer_ = loop_.loop.CallAfter(*delay, [this] { Hedge(); });
  }
}

void ProxiedRequest::Hedge() {
  if (winner_ != nullptr || answer_.is_begun() || attempts_.size() != 1) return;
  tried_.push_back(attempts_.front()->upstream().name());
  auto chosen = Choose();
  tried_.pop_back();
  if (!chosen) return;
  if (!route_->hedging()->TryHedge()) return route_->metrics().Hedges("refused").Increment();
  StartAttempt(*std::move(chosen), AttemptKind::kHedge);
  if (attempts_.size() == 2) hedge_ = attempts_.back().get();
}

void ProxiedRequest::SendMirrors() {
  for (const MirrorConfig& mirror : route_->config().mirrors) {
    if (loop_.random.NextDouble() * 100 >= mirror.percent) continue;
    const std::shared_ptr<Route>* route = state_->routes->ByName(mirror.route);
    if (route != nullptr) loop_.mirrors.Send(loop_.client, *route, admitted_);
  }
}

// --- what attempts bring

bool ProxiedRequest::OnFirstByte(UpstreamAttempt& attempt) {
  if (winner_ != nullptr && winner_ != &attempt) {
    const auto late = TakeOut(attempt);
    RecordAttemptEnd(*admitted_.active, *late, 0, kSlowerOne);
    return false;
  }
  winner_ = &attempt;
  hedge_timer_.Cancel();
  const TimePoint now = state_->clock.Now();
  RecordFirstByte(*admitted_.active, attempt, now);
  if (route_->hedging() != nullptr) route_->hedging()->OnFirstByte(now - attempt.sent_at());
  if (attempts_.size() > 1) {
    route_->metrics().Hedges(hedge_ == &attempt ? "won" : "lost").Increment();
    for (const auto& one : attempts_) {
      if (one.get() != &attempt) RecordAttemptEnd(*admitted_.active, *one, 0, kSlowerOne);
    }
    std::erase_if(attempts_, [&attempt](const auto& one) { return one.get() != &attempt; });
  }
  hedge_ = nullptr;
  if (!answer_.is_begun()) {
    route_->metrics().first_token.Observe(Seconds(now - admitted_.begun), admitted_.active->trace());
  }
  return true;
}

void ProxiedRequest::OnStream(UpstreamAttempt& attempt, std::string_view bytes) {
  const auto self = shared_from_this();
  if (!answer_.is_begun()) StartStream(attempt);
  if (!relay_) {
    WriteStream(std::string(bytes), 1);
  } else {
    const int64_t num_before = relay_->num_events();
    std::string events = relay_->Feed(bytes);
    WriteStream(std::move(events), relay_->num_events() - num_before);
  }
  if (keep_alive_ == nullptr) return;  // a cut that was put in ends all
  if (relay_ && relay_->has_failed()) {
    return OnFailed(attempt, {.reason = "gave_up",
                              .message = attempt.upstream().origin.authority + " cannot go on with its stream",
                              .has_died = true});
  }
  if (answer_.backlog_bytes() > kPauseAboveBytes) SlowDown(attempt);
}

void ProxiedRequest::StartStream(UpstreamAttempt& attempt) {
  const bool is_events = attempt.head().Header("content-type").starts_with("text/event-stream");
  if (is_events) {
    relay_.emplace(attempt.upstream().config.engine == EngineKind::kAutoglm ? StreamRelay::Kind::kContinuable
                                                                            : StreamRelay::Kind::kPlain);
  }
  http::ResponseHead upstream_head = attempt.TakeHead();
  http::Response head{.status = upstream_head.status, .headers = ClientHeaders(std::move(upstream_head.headers)), .body = {}};
  if (is_events) {
    std::erase_if(head.headers, [](const auto& h) { return h.first == "cache-control" || h.first == "x-accel-buffering"; });
    head.headers.emplace_back("cache-control", "no-cache, no-transform");
    head.headers.emplace_back("x-accel-buffering", "no");
  }
  AddOwnHeaders(head, &attempt.upstream());
  status_ = head.status;
  answered_by_ = attempt.upstream().name();
  answer_.Start(std::move(head));
}

void ProxiedRequest::WriteStream(std::string events, int64_t num_events) { answer_.Write(std::move(events), num_events); }

void ProxiedRequest::SlowDown(UpstreamAttempt& attempt) {
  attempt.call().Pause();
  drain_timer_ = loop_.loop.CallAfter(kDrainLook, [this] {
    if (winner_ == nullptr) return;
    if (answer_.backlog_bytes() > kResumeBelowBytes) return SlowDown(*winner_);
    winner_->call().Resume();
  });
}

void ProxiedRequest::OnStreamEnd(UpstreamAttempt& attempt) {
  const auto self = shared_from_this();
  if (!answer_.is_begun()) StartStream(attempt);
  if (relay_) WriteStream(relay_->TakeRest(), 1);
  // A server that dies politely ends its stream in the middle of an answer.
  if (relay_ && IsCompletion(admitted_.request->path) && !relay_->has_ended()) {
    return OnFailed(attempt, {.reason = "incomplete",
                              .message = attempt.upstream().origin.authority + " ended its stream too early",
                              .has_died = true});
  }
  route_->metrics().ForUpstream(attempt.upstream().name()).requests.Count(status_);
  RecordAttemptEnd(*admitted_.active, attempt, status_, {});
  attempt.Finish(Outcome::kAnswered);
  winner_ = nullptr;
  answer_.End();
}

void ProxiedRequest::OnWholeAnswer(UpstreamAttempt& attempt) {
  const auto self = shared_from_this();
  const int status = attempt.head().status;
  if (answer_.is_begun()) {
    return OnFailed(attempt,
                    {.reason = "cannot_continue",
                     .message = fmt::format("{} answered {} instead of going on", attempt.upstream().origin.authority, status)});
  }
  route_->metrics().ForUpstream(attempt.upstream().name()).requests.Count(status);
  RecordAttemptEnd(*admitted_.active, attempt, status, {});
  attempt.Finish(status < 500 ? Outcome::kAnswered : Outcome::kFailed);
  http::ResponseHead head = attempt.TakeHead();
  http::Response response{.status = status, .headers = ClientHeaders(std::move(head.headers)), .body = attempt.TakeBody()};
  if (status < 300) usage_ = FindUsage(response.body);
  answered_by_ = attempt.upstream().name();
  AddOwnHeaders(response, &attempt.upstream());
  status_ = status;
  winner_ = nullptr;
  answer_.Send(std::move(response));
}

std::unique_ptr<UpstreamAttempt> ProxiedRequest::TakeOut(UpstreamAttempt& attempt) {
  const auto found = std::ranges::find_if(attempts_, [&attempt](const auto& one) { return one.get() == &attempt; });
  std::unique_ptr<UpstreamAttempt> taken = std::move(*found);
  attempts_.erase(found);
  if (hedge_ == &attempt) hedge_ = nullptr;
  if (winner_ == &attempt) winner_ = nullptr;
  return taken;
}

void ProxiedRequest::OnFailed(UpstreamAttempt& attempt, AttemptFailure failure) {
  const auto self = shared_from_this();
  const auto dead = TakeOut(attempt);
  const std::string& name = dead->upstream().name();
  dead->Finish(failure.outcome, failure.retry_after);
  route_->metrics().ForUpstream(name).requests.Count(failure.head ? failure.head->status : 0);
  const ScopedLogTrace trace(admitted_.active.get());
  RecordAttemptEnd(*admitted_.active, *dead, failure.head ? failure.head->status : 0, failure.reason);
  Log(LogLevel::kInfo, "upstream_failed",
      {{"request_id", std::string_view(admitted_.request_id)},
       {"upstream", std::string_view(name)},
       {"reason", std::string_view(failure.reason)},
       {"message", std::string_view(failure.message)}});
  if (failure.was_stale && num_stale_ < kMaxStale && IsRepeatable()) {
    ++num_stale_;
    --num_attempts_;
    return Dispatch();
  }
  tried_.push_back(name);
  // One whose probes fail by now is as good as dead.
  failure.has_died = failure.has_died || !route_->pool().IsUp(name);
  if (!attempts_.empty()) return;  // the one beside it goes on
  if (answer_.is_begun()) return GoOnWithout(failure);
  Retry(failure);
}

void ProxiedRequest::Retry(const AttemptFailure& failure) {
  admitted_.active->Enter(Stage::kRoute);
  auto other = Choose();
  const resilience::FailedAttempt failed{.outcome = failure.outcome,
                                         .num_attempts = num_attempts_,
                                         .retry_after = failure.retry_after,
                                         .was_sent = failure.was_sent,
                                         .is_repeatable = IsRepeatable(),
                                         .has_others = other.has_value(),
                                         .time_left = TimeLeft()};
  const resilience::RetryDecision decision = resilience::DecideRetry(failed, route_->config().retries, loop_.random);
  if (!decision.delay) return GiveUp(failure);
  const bool moves = DoesNoMoreWork(failure) && other;
  if (!moves && !route_->retry_budget().TryBeginRetry()) return GiveUp(failure);
  route_->metrics().Retries(failure.reason).Increment();
  if (other && *decision.delay == Duration::zero()) {
    return StartAttempt(*std::move(other), AttemptKind::kRetry, moves ? Budget::kNone : Budget::kRetry);
  }
  admitted_.active->Enter(Stage::kRetryWait);
  is_next_retry_ = !moves;
  if (!other) tried_.clear();
  wait_timer_ = loop_.loop.CallAfter(*decision.delay, [this] { Dispatch(); });
}

// The budget is there for work that would be done twice. A request whose upstream died or refused it takes its place along to
// another one, once.
bool ProxiedRequest::DoesNoMoreWork(const AttemptFailure& failure) const {
  return (failure.has_died || failure.outcome == Outcome::kOverloaded) && num_attempts_ == 1;
}

void ProxiedRequest::GiveUp(const AttemptFailure& failure) {
  if (IsRepeatable() && FallBack()) return;
  if (!failure.head) {
    const int status = StatusOf(failure);
    return AnswerError(status, ReasonType(status), "upstream_" + failure.reason, failure.message, {});
  }
  http::Response response{.status = failure.head->status, .headers = ClientHeaders(failure.head->headers), .body = failure.body};
  AddOwnHeaders(response, nullptr);
  status_ = response.status;
  answer_.Send(std::move(response));
}

// --- a stream that broke off

void ProxiedRequest::GoOnWithout(const AttemptFailure& failure) {
  if (relay_) relay_->DropPartial();
  if (relay_ && relay_->has_ended() && failure.reason != "incomplete") {
    // All of the text has arrived.
    if (!relay_->is_done()) WriteStream("data: [DONE]\n\n", 0);
    return answer_.End();
  }
  if (ContinueElsewhere(failure)) return;
  if (!relay_) return answer_.Cut();  // nothing can be said within bytes of another form
  route_->metrics().ContinuedStreams("ended_with_error").Increment();
  const ErrorBody error{
      .status = 502, .message = failure.message, .type = "upstream_error", .param = {}, .code = "upstream_" + failure.reason};
  answer_.Write(fmt::format("data: {}\n\n", ErrorJson(error)), 0);
  refusal_ = "stream_broken";
  answer_.End();
}

bool ProxiedRequest::ContinueElsewhere(const AttemptFailure& failure) {
  if (!relay_ || relay_->stream_info().empty() || !route_->config().continues_streams) return false;
  if (num_attempts_ >= route_->config().retries.max_attempts) return false;
  auto chosen = Choose();
  if (!chosen) return false;
  const auto upstream = route_->Find(chosen->upstream());
  if (upstream == nullptr || upstream->config.engine != EngineKind::kAutoglm) return false;
  const bool moves = DoesNoMoreWork(failure);
  if (!moves && !route_->retry_budget().TryBeginRetry()) return false;
  route_->metrics().ContinuedStreams("continued").Increment();
  is_continuing_ = true;
  StartAttempt(*std::move(chosen), AttemptKind::kContinuation, moves ? Budget::kNone : Budget::kRetry);
  return true;
}

// --- the answer

void ProxiedRequest::Answer(http::Response response) {
  status_ = response.status;
  if (!refusal_.empty()) state_->metrics.Refused(refusal_).Increment();
  AddOwnHeaders(response, nullptr);
  answer_.Send(std::move(response));
}

void ProxiedRequest::AnswerError(int status, std::string_view type, std::string_view code, std::string_view message,
                                 Duration retry_after) {
  const ErrorBody error{
      .status = status, .message = std::string(message), .type = std::string(type), .param = {}, .code = std::string(code)};
  http::Response response = JsonReply(status, ErrorJson(error));
  if (retry_after > Duration::zero()) {
    response.headers.emplace_back("retry-after", std::to_string(std::chrono::ceil<std::chrono::seconds>(retry_after).count()));
  }
  refusal_ = code;
  Answer(std::move(response));
}

void ProxiedRequest::AddOwnHeaders(http::Response& response, const Upstream* upstream) const {
  http::HeaderLines& lines = response.lines;
  lines.Add("x-request-id", admitted_.request_id);
  lines.Add("x-gateway-route", route_->name());
  if (upstream != nullptr) lines.Add("x-gateway-upstream", upstream->name());
  lines.Add("x-gateway-attempts", std::to_string(num_attempts_));
  lines.Add("x-trace-id", admitted_.active->trace().Hex());
  lines.Add("x-span-id", admitted_.active->span().Hex());
  if (admitted_.tells_timing) lines.Add("server-timing", ServerTimingOf(admitted_.active->Snapshot(), "gw_"));
  if (!faults_.empty()) lines.Add("x-gateway-fault", faults_.names);
  if (!degraded_.empty()) lines.Add("x-degraded", fmt::format("{}", fmt::join(degraded_, ", ")));
  if (admitted_.usage == nullptr) return;
  for (const auto& [name, value] : admitted_.usage->limits().Headers()) lines.Add(name, value);
}

void ProxiedRequest::OnClientGone() {
  const auto self = shared_from_this();
  if (keep_alive_ == nullptr) return;
  status_ = 499;
  refusal_ = "client_gone";
  // What was generated by then was used all the same.
  Finish();
}

void ProxiedRequest::Finish() {
  const auto self = std::exchange(keep_alive_, nullptr);
  if (self == nullptr) return;
  attempts_.clear();
  winner_ = nullptr;
  hedge_timer_.Cancel();
  wait_timer_.Cancel();
  drain_timer_.Cancel();
  place_.reset();
  LeaveRoute();
  Settle();
  route_->metrics().requests.Count(status_);
  route_->metrics().duration.Observe(Seconds(state_->clock.Now() - admitted_.begun), admitted_.active->trace());
  Audit();
  FillRecord();
  admitted_.active->Answered(status_);
}

void ProxiedRequest::FillRecord() const {
  ActiveRequest& active = *admitted_.active;
  const TokenUsage usage = usage_.value_or(TokenUsage{});
  active.Update([&](RequestRecord& record) {
    record.route = active.NameIndex(route_->name());
    record.model = active.NameIndex(admitted_.scan.model);
    record.upstream = active.NameIndex(answered_by_);
    record.reason = active.NameIndex(refusal_);
    record.num_choices = static_cast<uint8_t>(std::clamp<int64_t>(admitted_.scan.num_choices, 0, 255));
    record.num_prompt_tokens = static_cast<uint32_t>(usage.input);
    record.num_completion_tokens = static_cast<uint32_t>(usage.output);
  });
}

void ProxiedRequest::Audit() const {
  if (state_->audit == nullptr) return;
  const TokenUsage usage = usage_.value_or(TokenUsage{});
  state_->audit->Add({.time = std::chrono::system_clock::now() - (state_->clock.Now() - admitted_.begun),
                      .request_id = admitted_.request_id,
                      .peer = admitted_.request->peer,
                      .key_id = admitted_.principal->key_id,
                      .tenant = admitted_.principal->policy.tenant,
                      .method = admitted_.request->method,
                      .path = admitted_.request->path,
                      .model = admitted_.scan.model,
                      .status = status_,
                      .refusal = refusal_,
                      .upstream = answered_by_,
                      .input_tokens = usage.input,
                      .output_tokens = usage.output,
                      .request_bytes = std::ssize(admitted_.request->body),
                      .response_bytes = answer_.num_bytes(),
                      .duration = state_->clock.Now() - admitted_.begun});
}

void ProxiedRequest::Settle() {
  if (relay_ && relay_->usage()) usage_ = relay_->usage();
  // Without a count of the upstream's own: an event of a stream carries about a token.
  if (!usage_ && relay_) usage_ = TokenUsage{.input = admitted_.scan.PromptTokens(), .output = relay_->num_events()};
  if (!usage_) return;
  route_->metrics().input_tokens.Increment(static_cast<double>(usage_->input));
  route_->metrics().output_tokens.Increment(static_cast<double>(usage_->output));
  if (admitted_.usage != nullptr) admitted_.usage->Settle(usage_->input, usage_->output);
}

// --- what is known of the request

// Twice does no more than once: everything that only generates.
bool ProxiedRequest::IsRepeatable() const {
  const std::string& method = admitted_.request->method;
  if (method == "GET" || method == "HEAD") return true;
  constexpr std::array<std::string_view, 9> kEndings = {"/completions", "/embeddings", "/messages", "/tokenize",   "/detokenize",
                                                        "/rerank",      "/score",      "/generate", "/moderations"};
  const std::string& path = admitted_.request->path;
  return method == "POST" && std::ranges::any_of(kEndings, [&path](std::string_view ending) { return path.ends_with(ending); });
}

std::optional<Duration> ProxiedRequest::TimeLeft() const {
  std::optional<Duration> limit = admitted_.timeout;
  const Duration total = route_->config().timeouts.total;
  if (total > Duration::zero() && (!limit || total < *limit)) limit = total;
  if (!limit) return std::nullopt;
  return *limit - (state_->clock.Now() - admitted_.begun);
}

}  // namespace autoglm::gateway
