#include "gateway/ingress.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <utility>

#include "gateway/header_match.h"
#include "gateway/path_rules.h"
#include "gateway/proxied_request.h"
#include "http/header_names.h"
#include "json/json.h"
#include "openai/error.h"
#include "telemetry/log.h"
#include "web/reply.h"

namespace autoglm::gateway {
namespace {

constexpr double kMaxTimeoutSeconds = 86'400;
constexpr int64_t kRetryAfterSeconds = 1;  // where what verifies tokens has not been fetched yet
// How little of a prompt's text a token can be, for limits of the context: what may be too long is for the upstream to say.
constexpr int64_t kBytesOfTokenAtMost = 8;

Result<std::optional<Duration>> TimeoutOf(const http::Request& request) {
  const std::string_view text = request.Header("x-request-timeout");
  if (text.empty()) return std::optional<Duration>();
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || !(seconds > 0) || seconds > kMaxTimeoutSeconds) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("x-request-timeout must be seconds above 0 and at most {}, such as 30 or 2.5", kMaxTimeoutSeconds),
                "x-request-timeout");
  }
  return std::optional<Duration>(DurationFromSeconds(seconds));
}

// A form with files, whose members are not read here: no JSON begins like one.
bool IsForm(const http::Request& request) {
  constexpr std::string_view kType = "multipart/form-data";
  return http::LowerCase(request.Header("content-type").substr(0, kType.size())) == kType && request.body.starts_with("--");
}

// Whatever a body says it is: the server behind may not ask.
bool HasJsonBody(const http::Request& request) { return !request.body.empty() && !IsForm(request); }

// The others reach no upstream: after CONNECT no two servers agree where an answer ends, and TRACE would tell the client what the
// upstream was sent, its key included. HEAD comes as GET.
bool IsMethodOfApis(std::string_view method) {
  constexpr std::array<std::string_view, 6> kMethods = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
  return std::ranges::find(kMethods, method) != kMethods.end();
}

// Which of two the server behind would take is anybody's guess.
bool HasTwoCredentials(const http::Request& request) {
  const auto count = [&request](std::string_view name) {
    return std::ranges::count(request.headers, name, &std::pair<std::string, std::string>::first);
  };
  return count("authorization") > 1 || count("x-api-key") > 1;
}

bool HasSomebodyToAsk(const GatewayState& state) {
  return std::ranges::any_of(state.routes->routes(), [](const auto& route) {
    const auto upstreams = route->pool().Status();
    return std::ranges::any_of(upstreams,
                               [](const auto& upstream) { return upstream.availability == routing::Availability::kAvailable; });
  });
}

}  // namespace

struct Ingress::Arrival : AdmittedRequest, std::enable_shared_from_this<Arrival> {
  std::shared_ptr<const GatewayState> state;
  std::string_view refusal = "invalid_request";  // the reason, where it is refused
};

void Ingress::Handle(std::shared_ptr<const http::Request> request, std::shared_ptr<http::Exchange> exchange) {
  const auto arrival = std::make_shared<Arrival>();
  arrival->state = state_();
  arrival->begun = request->accepted;
  const std::string_view given_id = request->Header("x-request-id");
  arrival->request_id = IsValidRequestId(given_id) ? std::string(given_id) : ids_.NextHex();
  arrival->request = std::move(request);
  arrival->exchange = std::move(exchange);
  if (AnswerOwnPath(*arrival)) return;
  arrival->active =
      OpenRecord(*arrival->request, *arrival->exchange, arrival->request_id, arrival->state->requests, RecordedBy::kGateway);
  arrival->tells_timing = AsksForTiming(*arrival->request);
  const ScopedLogTrace trace(arrival->active.get());
  if (!IsMethodOfApis(arrival->request->method)) {
    return Refuse(*arrival, {.code = ErrorCode::kInvalidArgument, .message = "No API has this method.", .param = {}}, "method",
                  0);
  }
  if (HasTwoCredentials(*arrival->request)) {
    const Error error{.code = ErrorCode::kInvalidArgument, .message = "There is more than one API key. Send one.", .param = {}};
    return Refuse(*arrival, error, "authentication", 0);
  }
  if (!IsPlainPath(arrival->request->path)) {
    const Error error{.code = ErrorCode::kInvalidArgument,
                      .message = "The path has parts that servers read differently. Send a plain one.",
                      .param = {}};
    return Refuse(*arrival, error, "path", 0);
  }
  Enter(arrival, Patience::kWaitForKeys);
}

// A token may name a key that is so new that it has to be fetched first; once.
void Ingress::Enter(std::shared_ptr<Arrival> arrival, Patience patience) {
  const http::Request& request = *arrival->request;
  const ScopedLogTrace trace(arrival->active.get());
  arrival->active->Enter(Stage::kAuth);
  std::function<void()> retry;
  if (patience == Patience::kWaitForKeys) retry = [this, arrival] { Enter(arrival, Patience::kNone); };
  auto principal =
      arrival->state->keys->Authenticate(request.Header("authorization"), request.Header("x-api-key"), loop_.loop, retry);
  if (!principal) return;
  if (!*principal) return Refuse(*arrival, principal->error(), "authentication", kRetryAfterSeconds);
  arrival->principal = **std::move(principal);
  arrival->active->Update([&](RequestRecord& record) {
    record.key = arrival->active->NameIndex(arrival->principal->key_id);
    record.tenant = arrival->active->NameIndex(arrival->principal->policy.tenant);
  });
  arrival->active->Enter(Stage::kParse);
  if (const Status admitted = Admit(*arrival); !admitted) return Refuse(*arrival, admitted.error(), arrival->refusal, 0);
  GoOn(*arrival);
}

void Ingress::GoOn(Arrival& arrival) {
  if (arrival.request->path == "/v1/models" && arrival.request->method == "GET") return AnswerModels(arrival);
  const std::string& sticky = arrival.session.empty() ? arrival.request_id : arrival.session;
  const std::shared_ptr<Route>* route = arrival.state->routes->Find(
      {.request = *arrival.request, .model = arrival.scan.model, .tenant = arrival.principal->policy.tenant, .sticky = sticky});
  if (route != nullptr) return Limit(arrival, *route);
  const Error error{.code = ErrorCode::kNotFound, .message = "No route takes this request.", .param = {}};
  Refuse(arrival, error, "no_route", 0);
}

bool Ingress::AnswerOwnPath(const Arrival& arrival) {
  const std::string& path = arrival.request->path;
  if (path == "/health") {
    arrival.exchange->Send(JsonReply(200, R"({"status":"ok"})"));
    return true;
  }
  if (path != "/ready") return false;
  const bool is_ready = !is_draining_.load() && HasSomebodyToAsk(*arrival.state);
  arrival.exchange->Send(JsonReply(is_ready ? 200 : 503, is_ready ? R"({"status":"ready"})" : R"({"status":"not ready"})"));
  return true;
}

// What it asks for, and whether that one may.
Status Ingress::Admit(Arrival& arrival) const {
  const http::Request& request = *arrival.request;
  AUTOGLM_TRY(arrival.timeout, TimeoutOf(request));
  if (HasJsonBody(request)) {
    AUTOGLM_TRY(arrival.scan, ScanRequest(request.body));
  }
  if (const std::string_view reserved = arrival.scan.reserved; !reserved.empty()) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is the gateway's to set.", reserved), std::string(reserved));
  }
  const std::string_view session = request.Header("x-session-id");
  arrival.session = session.empty() ? arrival.scan.user : std::string(session);
  arrival.refusal = "permission";
  return CheckPermission(arrival);
}

Status Ingress::CheckPermission(Arrival& arrival) const {
  const Policy& policy = arrival.principal->policy;
  const ScannedRequest& scan = arrival.scan;
  const bool has_bounds_of_models = !policy.models.empty() || policy.scope_models.has_value();
  if (has_bounds_of_models && scan.model.empty() && !arrival.request->body.empty()) {
    // The server behind would take whichever it likes.
    return Fail(ErrorCode::kPermissionDenied, "This key may use certain models only: name one as 'model'.", "model");
  }
  if (!scan.model.empty() && !policy.MayUse(scan.model)) {
    return Fail(ErrorCode::kPermissionDenied, fmt::format("This key may not use the model '{}'.", scan.model), "model");
  }
  if (scan.priority && policy.highest_priority && *scan.priority < *policy.highest_priority) {
    return Fail(ErrorCode::kPermissionDenied,
                fmt::format("This key may ask for priorities from {} on.", *policy.highest_priority), "priority");
  }
  if (policy.max_output_tokens > 0 && scan.max_tokens.value_or(0) > policy.max_output_tokens) {
    return Fail(ErrorCode::kPermissionDenied, fmt::format("This key may ask for {} tokens at most.", policy.max_output_tokens),
                "max_tokens");
  }
  const int64_t least_context = static_cast<int64_t>(scan.prompt.length) / kBytesOfTokenAtMost + scan.max_tokens.value_or(0);
  if (policy.max_context_tokens > 0 && least_context > policy.max_context_tokens) {
    return Fail(ErrorCode::kPermissionDenied,
                fmt::format("This key may use {} tokens of prompt and answer at most.", policy.max_context_tokens), "messages");
  }
  return {};
}

void Ingress::Limit(Arrival& arrival, const std::shared_ptr<Route>& route) {
  arrival.active->Enter(Stage::kRateLimit);
  constexpr int64_t kAnswerUnknown = 512;  // tokens that are reserved where neither request nor key bound the answer
  const Policy& policy = arrival.principal->policy;
  const int64_t most = policy.max_output_tokens > 0 ? policy.max_output_tokens : kAnswerUnknown;
  const ScannedRequest& scan = arrival.scan;
  const http::Request& request = *arrival.request;
  const bool has_prompt = scan.prompt.length > 0;
  // A body whose prompt stands elsewhere asks for an answer all the same.
  const bool generates = has_prompt || (request.method == "POST" && !request.body.empty());
  const int64_t unknown_input = generates && !IsForm(request) ? std::ssize(request.body) / 3 + 1 : 0;
  const guard::UsageEstimate estimate{.model = scan.model,
                                      .input_tokens = has_prompt ? scan.PromptTokens() : unknown_input,
                                      .max_output_tokens = generates ? scan.max_tokens.value_or(most) * scan.num_choices : 0};

  const auto go_on = [loop = &loop_, arrival = arrival.shared_from_this(), route](guard::Granted granted) {
    if (!granted) {
      arrival->state->metrics.RateLimited("limit").Increment();
      return Refuse(*arrival, granted.error().error, "limit", granted.error().retry_after_seconds);
    }
    arrival->usage = *std::move(granted);
    auto state = std::move(arrival->state);
    ProxiedRequest::Begin(*loop, std::move(state), route, std::move(static_cast<AdmittedRequest&>(*arrival)));
  };
  auto granted = arrival.state->limits->Acquire(*arrival.principal, estimate, loop_.loop, go_on);
  if (granted) go_on(*std::move(granted));
}

// Of all routes, as far as upstreams say which models they serve, and the key may use them.
void Ingress::AnswerModels(const Arrival& arrival) const {
  std::set<std::string> names;
  for (const auto& route : arrival.state->routes->routes()) {
    for (const std::string& model : route->config().match.models) {
      if (model.find('*') == std::string::npos) names.insert(model);
    }
    for (const auto& upstream : route->Upstreams()) {
      names.insert(upstream->config.spec.models.begin(), upstream->config.spec.models.end());
    }
    if (!route->config().rewrite_model.empty()) continue;
    for (std::string& model : route->ListedModels()) {
      if (FitsAny(model, route->config().match.models)) names.insert(std::move(model));
    }
  }
  Json list = Json::array();
  for (const std::string& name : names) {
    if (arrival.principal->policy.MayUse(name)) {
      list.push_back({{"id", name}, {"object", "model"}, {"created", 0}, {"owned_by", "gateway"}});
    }
  }
  AddToAudit(arrival, 200, "");
  arrival.active->Answered(200);
  arrival.exchange->Send(JsonReply(200, DumpJson({{"object", "list"}, {"data", std::move(list)}})));
}

void Ingress::AddToAudit(const Arrival& arrival, int status, std::string_view reason) {
  if (arrival.state->audit == nullptr) return;
  const bool is_known = arrival.principal != nullptr;
  arrival.state->audit->Add({.time = std::chrono::system_clock::now(),
                             .request_id = arrival.request_id,
                             .peer = arrival.request->peer,
                             .key_id = is_known ? std::string_view(arrival.principal->key_id) : std::string_view(),
                             .tenant = is_known ? std::string_view(arrival.principal->policy.tenant) : std::string_view(),
                             .method = arrival.request->method,
                             .path = arrival.request->path,
                             .model = arrival.scan.model,
                             .status = status,
                             .refusal = reason,
                             .request_bytes = std::ssize(arrival.request->body),
                             .duration = arrival.state->clock.Now() - arrival.begun});
}

void Ingress::Refuse(const Arrival& arrival, const Error& error, std::string_view reason, int64_t retry_after_seconds) {
  arrival.state->metrics.Refused(std::string(reason)).Increment();
  AddToAudit(arrival, ErrorBodyOf(error).status, reason);
  http::Response response = ErrorReply(error, retry_after_seconds);
  response.headers.emplace_back("x-request-id", arrival.request_id);
  response.headers.emplace_back("x-trace-id", arrival.active->trace().Hex());
  response.headers.emplace_back("x-span-id", arrival.active->span().Hex());
  const ScopedLogTrace trace(arrival.active.get());
  arrival.active->Update([&](RequestRecord& record) {
    record.reason = arrival.active->NameIndex(reason);
    record.model = arrival.active->NameIndex(arrival.scan.model);
  });
  arrival.active->Answered(response.status);
  Log(LogLevel::kInfo, "request_refused",
      {{"request_id", std::string_view(arrival.request_id)},
       {"peer", std::string_view(arrival.request->peer)},
       {"reason", reason},
       {"message", std::string_view(error.message)}});
  arrival.exchange->Send(std::move(response));
}

}  // namespace autoglm::gateway
