#include "server/api_server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <random>
#include <span>
#include <string_view>
#include <thread>
#include <utility>

#include "base/check.h"
#include "json/json.h"
#include "openai/error.h"
#include "server/answer.h"
#include "server/delivery_thread.h"
#include "server/generation.h"
#include "server/ids.h"
#include "server/reply.h"
#include "server/served_model.h"
#include "server/url.h"
#include "telemetry/log.h"

namespace autoglm {
namespace {

constexpr std::string_view kModelsPrefix = "/v1/models/";
// A drained or loading server is not the one to come back to soon; a balancer knows others.
constexpr int64_t kRetryAfterNotReadySeconds = 5;
constexpr std::chrono::milliseconds kConnectionPoll{5};
// For the last bytes of answers that were broken off.
constexpr std::chrono::milliseconds kFarewellPatience{500};

int64_t UnixSeconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

uint64_t RandomSeed() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) | device();
}

}  // namespace

struct ApiServer::Impl {
  // One HTTP request and the way back.
  struct Call {
    std::shared_ptr<const http::Request> request;
    std::string path;  // decoded
    ReplyChannel channel;
    std::string_view route;
  };
  using Handler = void (Impl::*)(const Call&);
  struct Route {
    std::string_view method;
    std::string_view path;  // one that ends in '/' stands for everything below it
    std::string_view name;  // in metrics and logs
    Handler handler;
  };

  Impl(const ApiServerOptions& server_options, ServerMetrics& server_metrics, const Clock& server_clock)
      : options(server_options),
        metrics(server_metrics),
        clock(server_clock),
        ids(RandomSeed()),
        delivery(std::max<std::chrono::milliseconds>(server_options.ping_interval / 4, std::chrono::milliseconds(1))) {}

  void Handle(std::shared_ptr<const http::Request> request, std::shared_ptr<http::Exchange> exchange);
  void Dispatch(Call call);
  void HandleChatCompletion(const Call& call) { Generate(call, PlanChatCompletion); }
  void HandleCompletion(const Call& call) { Generate(call, PlanCompletion); }
  void HandleModels(const Call& call);
  void HandleModel(const Call& call);
  void HandleHealth(const Call& call);
  void HandleReady(const Call& call);
  void HandleMetrics(const Call& call);
  void HandleVersion(const Call& call);

  using Planner = Result<GenerationPlan> (*)(std::string_view body, const ServedModel& model);
  void Generate(const Call& call, Planner plan);
  void StartAnswer(const Call& call, const ServedModel& model, const GenerationPlan& plan, std::vector<AnswerChoice> choices);
  std::unique_ptr<AnswerWriter> MakeWriter(const Call& call, const ServedModel& model, const GenerationPlan& plan);

  // nullptr while loading.
  std::shared_ptr<const ServedModel> CurrentModel() const;
  // The model, or why it takes no requests now.
  Result<std::shared_ptr<const ServedModel>> ReadyModel() const;
  void Reply(const Call& call, http::Response response);
  void ReplyError(const Call& call, const Error& error);
  RequestRecord RecordOf(const Call& call) const;
  void TakeEngineMetrics(const Engine& engine);
  bool WaitForConnectionsToEnd(std::chrono::milliseconds limit);

  static std::span<const Route> Routes();

  const ApiServerOptions options;
  ServerMetrics& metrics;
  const Clock& clock;
  IdSource ids;
  DeliveryThread delivery;
  std::atomic<bool> is_draining{false};
  mutable std::mutex mutex;                  // of the next one
  std::shared_ptr<const ServedModel> model;  // nullptr until Serve
  std::unique_ptr<http::Server> http;        // last: its threads use all of the above
};

std::span<const ApiServer::Impl::Route> ApiServer::Impl::Routes() {
  static constexpr Route kRoutes[] = {
      {"POST", "/v1/chat/completions", "/v1/chat/completions", &Impl::HandleChatCompletion},
      {"POST", "/v1/completions", "/v1/completions", &Impl::HandleCompletion},
      {"GET", "/v1/models", "/v1/models", &Impl::HandleModels},
      {"GET", kModelsPrefix, "/v1/models/{id}", &Impl::HandleModel},
      {"GET", "/health", "/health", &Impl::HandleHealth},
      {"GET", "/ready", "/ready", &Impl::HandleReady},
      {"GET", "/metrics", "/metrics", &Impl::HandleMetrics},
      {"GET", "/version", "/version", &Impl::HandleVersion},
  };
  return kRoutes;
}

void ApiServer::Impl::Handle(std::shared_ptr<const http::Request> request, std::shared_ptr<http::Exchange> exchange) {
  const std::string_view given_id = request->Header("x-request-id");
  std::string id = IsValidRequestId(given_id) ? std::string(given_id) : ids.NextUuid();
  ReplyChannel channel{.exchange = std::move(exchange), .request_id = std::move(id), .accepted = request->accepted};
  std::string path = PercentDecode(request->path);
  Dispatch({.request = std::move(request), .path = std::move(path), .channel = std::move(channel), .route = "other"});
}

void ApiServer::Impl::Dispatch(Call call) {
  const std::string_view path = call.path;
  const auto matches = [path](const Route& route) {
    if (!route.path.ends_with('/')) return route.path == path;
    return path.size() > route.path.size() && path.starts_with(route.path);
  };
  const auto routes = Routes();
  const auto route = std::find_if(routes.begin(), routes.end(), matches);
  if (route == routes.end()) {
    return ReplyError(call, {.code = ErrorCode::kNotFound, .message = "There is nothing at " + call.request->path});
  }
  call.route = route->name;
  const std::string& method = call.request->method;
  if (method == route->method || (method == "HEAD" && route->method == "GET")) return (this->*route->handler)(call);

  http::Response response = JsonReply(405, ErrorJson({.status = 405,
                                                      .message = call.request->path + " does not take " + method,
                                                      .type = "invalid_request_error",
                                                      .code = "method_not_allowed"}));
  response.headers.emplace_back("Allow", route->method == "GET" ? "GET, HEAD" : std::string(route->method));
  Reply(call, std::move(response));
}

void ApiServer::Impl::Generate(const Call& call, Planner plan_request) {
  const auto ready = ReadyModel();
  if (!ready) return ReplyError(call, ready.error());
  const ServedModel& served = **ready;
  const Result<GenerationPlan> plan = plan_request(call.request->body, served);
  if (!plan) return ReplyError(call, plan.error());
  Result<std::vector<AnswerChoice>> choices = SubmitChoices(*plan, served, call.channel.request_id);
  if (!choices) return ReplyError(call, choices.error());
  StartAnswer(call, served, *plan, *std::move(choices));
}

void ApiServer::Impl::StartAnswer(const Call& call, const ServedModel& served, const GenerationPlan& plan,
                                  std::vector<AnswerChoice> choices) {
  RequestRecord record = RecordOf(call);
  record.model = served.name();
  auto answer = std::make_shared<Answer>(Answer::Parts{.engine = served.shared_engine(),
                                                       .choices = std::move(choices),
                                                       .writer = MakeWriter(call, served, plan),
                                                       .exchange = call.channel.exchange,
                                                       .record = std::move(record)},
                                         delivery, metrics, clock);
  delivery.Add(std::move(answer));
}

std::unique_ptr<AnswerWriter> ApiServer::Impl::MakeWriter(const Call& call, const ServedModel& served,
                                                          const GenerationPlan& plan) {
  const bool is_chat = plan.kind == ResponseKind::kChatCompletion;
  ResponseHead head{.kind = plan.kind,
                    .id = (is_chat ? "chatcmpl-" : "cmpl-") + ids.NextHex(),
                    .created_unix_seconds = UnixSeconds(),
                    .model = served.name(),
                    .system_fingerprint = served.system_fingerprint()};
  if (!plan.params.stream) return MakeWholeWriter(call.channel, std::move(head), plan.num_choices(), clock);
  const StreamOptions stream{.usage = plan.params.include_usage ? StreamUsage::kInclude : StreamUsage::kOmit,
                             .ping_interval = options.ping_interval};
  return MakeStreamWriter(call.channel, head, plan.num_choices(), stream, clock);
}

void ApiServer::Impl::HandleModels(const Call& call) {
  const auto current = CurrentModel();
  Reply(call, JsonReply(200, BuildModelList(current ? current->Cards() : std::vector<ModelCard>())));
}

void ApiServer::Impl::HandleModel(const Call& call) {
  const auto current = CurrentModel();
  if (!current) return ReplyError(call, {.code = ErrorCode::kUnavailable, .message = "the model is still loading"});
  const std::string id = call.path.substr(kModelsPrefix.size());
  if (const Status known = current->CheckName(id); !known) return ReplyError(call, known.error());
  const std::vector<ModelCard> cards = current->Cards();
  const auto card = std::find_if(cards.begin(), cards.end(), [&](const ModelCard& one) { return one.id == id; });
  Reply(call, JsonReply(200, BuildModel(card == cards.end() ? cards.front() : *card)));
}

void ApiServer::Impl::HandleHealth(const Call& call) { Reply(call, JsonReply(200, R"({"status":"ok"})")); }

void ApiServer::Impl::HandleReady(const Call& call) {
  const auto ready = ReadyModel();
  if (!ready) return ReplyError(call, ready.error());
  Reply(call, JsonReply(200, R"({"status":"ready"})"));
}

void ApiServer::Impl::HandleMetrics(const Call& call) {
  if (const auto current = CurrentModel()) TakeEngineMetrics(current->engine());
  Reply(call, TextReply(200, metrics.RenderText(), "text/plain; version=0.0.4; charset=utf-8"));
}

void ApiServer::Impl::HandleVersion(const Call& call) {
  Reply(call, JsonReply(200, DumpJson({{"name", "autoglm"}, {"version", options.version}})));
}

std::shared_ptr<const ServedModel> ApiServer::Impl::CurrentModel() const {
  const std::lock_guard lock(mutex);
  return model;
}

Result<std::shared_ptr<const ServedModel>> ApiServer::Impl::ReadyModel() const {
  if (is_draining) return Fail(ErrorCode::kUnavailable, "the server is shutting down and takes no new requests");
  std::shared_ptr<const ServedModel> current = CurrentModel();
  if (!current) return Fail(ErrorCode::kUnavailable, "the model is still loading");
  return current;
}

void ApiServer::Impl::Reply(const Call& call, http::Response response) {
  const TimePoint now = clock.Now();
  call.channel.AddCommonHeaders(response, now);
  RequestRecord record = RecordOf(call);
  record.status = response.status;
  RecordRequest(record, metrics, now);
  call.channel.exchange->Send(std::move(response));
}

void ApiServer::Impl::ReplyError(const Call& call, const Error& error) {
  const auto current = CurrentModel();
  const bool is_queue_full = error.code == ErrorCode::kResourceExhausted && current;
  Reply(call, ErrorReply(error, is_queue_full ? current->engine().RetryAfterSeconds() : kRetryAfterNotReadySeconds));
}

RequestRecord ApiServer::Impl::RecordOf(const Call& call) const {
  return {.id = call.channel.request_id, .method = call.request->method, .route = call.route, .accepted = call.channel.accepted};
}

void ApiServer::Impl::TakeEngineMetrics(const Engine& engine) {
  const EngineStats stats = engine.stats();
  metrics.num_requests_running.Set(static_cast<double>(stats.num_running));
  metrics.num_requests_waiting.Set(static_cast<double>(stats.num_waiting));
  const auto num_blocks = static_cast<double>(std::max<int64_t>(stats.blocks.num_blocks, 1));
  metrics.kv_cache_usage.Set(static_cast<double>(stats.blocks.num_used) / num_blocks);
  SetCounterTotal(metrics.preemptions, static_cast<double>(stats.num_preemptions));
  SetCounterTotal(metrics.prefix_cache_queries, static_cast<double>(stats.blocks.prefix_queries));
  SetCounterTotal(metrics.prefix_cache_hits, static_cast<double>(stats.blocks.prefix_hits));
}

// Once every answer is complete, a connection is only sending its last bytes, or idle and closed by this.
bool ApiServer::Impl::WaitForConnectionsToEnd(std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  http->StopAccepting();
  while (http->num_connections() > 0) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kConnectionPoll);
  }
  return true;
}

Result<std::unique_ptr<ApiServer>> ApiServer::Start(const ApiServerOptions& options, ServerMetrics& metrics, const Clock& clock) {
  auto impl = std::make_unique<Impl>(options, metrics, clock);
  AUTOGLM_TRY(impl->http, http::Server::Start(options.http, [raw = impl.get()](auto request, auto exchange) {
                raw->Handle(std::move(request), std::move(exchange));
              }));
  return std::unique_ptr<ApiServer>(new ApiServer(std::move(impl)));
}

ApiServer::ApiServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ApiServer::~ApiServer() {
  // First every answer ends with a reason, then the connections go.
  impl_->is_draining = true;
  impl_->delivery.Stop();
  impl_->WaitForConnectionsToEnd(kFarewellPatience);
  impl_->http.reset();
}

void ApiServer::Serve(std::shared_ptr<Engine> engine) {
  auto served = std::make_shared<const ServedModel>(std::move(engine), impl_->options.served_model_names, impl_->options.version);
  const std::lock_guard lock(impl_->mutex);
  AUTOGLM_CHECK(impl_->model == nullptr);
  impl_->model = std::move(served);
}

uint16_t ApiServer::port() const { return impl_->http->port(); }

void ApiServer::BeginDrain() {
  impl_->is_draining = true;
  if (const auto current = impl_->CurrentModel()) current->engine().BeginDrain();
}

bool ApiServer::WaitUntilDrained(std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  if (!impl_->delivery.WaitUntilIdle(limit)) return false;
  const auto rest = deadline - std::chrono::steady_clock::now();
  return impl_->WaitForConnectionsToEnd(std::chrono::duration_cast<std::chrono::milliseconds>(rest));
}

}  // namespace autoglm
