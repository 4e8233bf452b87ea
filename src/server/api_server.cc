#include "server/api_server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <span>
#include <string_view>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/periodic_thread.h"
#include "console/console_pages.h"
#include "engine/loaded_model.h"
#include "json/json.h"
#include "openai/error.h"
#include "server/answer.h"
#include "server/call.h"
#include "server/context_handler.h"
#include "server/delivery_thread.h"
#include "server/generation.h"
#include "server/generation_handler.h"
#include "server/served_model.h"
#include "telemetry/log.h"
#include "tracing/request_observer.h"
#include "tracing/request_routes.h"
#include "web/ids.h"
#include "web/reply.h"
#include "web/url.h"

namespace autoglm {
namespace {

constexpr std::string_view kModelsPrefix = "/v1/models/";
constexpr std::string_view kContextsPrefix = "/v1/contexts/";
constexpr std::string_view kLoadSuffix = "/load";
constexpr std::string_view kUnloadSuffix = "/unload";
// A drained or loading server is not the one to come back to soon; a balancer knows others.
constexpr int64_t kRetryAfterNotReadySeconds = 5;
constexpr std::chrono::milliseconds kConnectionPoll{5};
// For the last bytes of answers that were broken off.
constexpr std::chrono::milliseconds kFarewellPatience{500};

ModelCard CardOf(const ModelStatus& status, const std::string& id) {
  return {.id = id,
          .created_unix_seconds = status.created_unix_seconds,
          .context_length = status.context_length,
          .state = std::string(ModelStateName(status.state)),
          .memory_bytes = status.weight_bytes + status.kv_bytes + status.kept_kv_bytes};
}

constexpr size_t kMaxListedPrefixes = 200;

Json SummaryOf(const ModelStatus& model) {
  const double num_blocks = static_cast<double>(std::max<int64_t>(model.engine.blocks.num_blocks, 1));
  return {{"name", model.name},
          {"state", ModelStateName(model.state)},
          {"running", model.engine.num_running},
          {"waiting", model.engine.num_waiting},
          {"kv_usage", static_cast<double>(model.engine.blocks.num_used) / num_blocks},
          {"backlog_s", model.engine.backlog_seconds},
          {"context_length", model.context_length},
          {"weight_bytes", model.weight_bytes},
          {"kv_bytes", model.kv_bytes}};
}

Json TierJson(const char* name, int64_t bytes, int64_t blocks) { return {{"name", name}, {"bytes", bytes}, {"blocks", blocks}}; }

Json CacheJson(const std::string& model, int64_t block_bytes, const Engine::CacheContents& contents) {
  const BlockManagerStats& blocks = contents.blocks;
  const int64_t num_held = blocks.num_used + blocks.num_cached;
  Json tiers = Json::array({TierJson("memory", num_held * block_bytes, num_held)});
  if (contents.tier.compressed.stored_bytes > 0) {
    tiers.push_back(TierJson("compressed", contents.tier.compressed.stored_bytes, contents.tier.compressed.num_stored));
  }
  if (contents.tier.disk.num_stored > 0) {
    tiers.push_back(TierJson("disk", contents.tier.disk.stored_bytes, contents.tier.disk.num_stored));
  }
  Json prefixes = Json::array();
  for (const RadixTree::Prefix& prefix : contents.prefixes) {
    prefixes.push_back({{"tokens", prefix.num_tokens},
                        {"blocks", prefix.num_own_blocks},
                        {"users", prefix.num_users},
                        {"last_used_s", prefix.unused_seconds}});
  }
  return {{"model", model},
          {"block_tokens", kBlockSizeTokens},
          {"block_bytes", block_bytes},
          {"blocks_total", blocks.num_blocks},
          {"blocks_used", num_held},
          {"blocks_running", blocks.num_used},
          {"blocks_free", blocks.num_free},
          {"evictable", blocks.num_cached},
          {"evicted", blocks.num_evicted},
          {"tiers", std::move(tiers)},
          {"prefixes", std::move(prefixes)}};
}

// What several engines answer, each on its thread, put together.
class CacheListing {
 public:
  CacheListing(size_t num_expected, std::function<void(Json)> done) : num_expected_(num_expected), done_(std::move(done)) {
    if (num_expected == 0) Finish();
  }
  // Of one of them; null: it has gone.
  void Add(Json of_model) {
    bool is_last = false;
    {
      const std::lock_guard lock(mutex_);
      if (!of_model.is_null()) models_.push_back(std::move(of_model));
      is_last = --num_expected_ == 0;
    }
    if (is_last) Finish();
  }

 private:
  void Finish() { done_({{"object", "list"}, {"data", std::move(models_)}}); }

  std::mutex mutex_;
  size_t num_expected_;
  Json models_ = Json::array();
  const std::function<void(Json)> done_;
};

uint64_t RandomSeed() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) | device();
}

}  // namespace

struct ApiServer::Impl : GenerationHost {
  using Handler = void (Impl::*)(const Call&);
  // kKnown: for those who say who they are, where the server asks.
  enum class Door { kOpen, kKnown };
  // kLook: at the server itself, by programs every few seconds.
  enum class Purpose { kUse, kLook };
  struct Route {
    std::string_view method;
    std::string_view path;  // one that ends in '/' stands for everything below it
    std::string_view name;  // in metrics and logs
    Handler handler;
    Door door = Door::kKnown;
    std::string_view suffix = {};  // of the paths below
    Purpose purpose = Purpose::kUse;

    bool Matches(std::string_view given) const {
      if (!path.ends_with('/')) return path == given;
      return given.size() > path.size() + suffix.size() && given.starts_with(path) && given.ends_with(suffix);
    }
  };

  Impl(const ApiServerOptions& server_options, std::unique_ptr<ContextStore> store, ServerMetrics& server_metrics,
       const Clock& server_clock)
      : options(server_options),
        metrics(server_metrics),
        clock(server_clock),
        requests(server_clock, server_options.request_log),
        observer(
            requests, server_options.tracing,
            [this](const RequestRecord& record) { metrics.ObserveStages(record, requests.names()); },
            [this] { metrics.FlushStages(); }),
        started(server_clock.Now()),
        ids(RandomSeed()),
        delivery(std::max(std::chrono::duration_cast<std::chrono::milliseconds>(server_options.generation.ping_interval) / 4,
                          std::chrono::milliseconds(1))),
        generation(server_options.generation, *this, delivery, server_metrics, ids, server_clock),
        context_store(std::move(store)),
        contexts(*context_store, generation, *this, ids,
                 [this](const Call& call, http::Response response) { Reply(call, std::move(response)); }),
        sweeper(server_options.context_sweep_interval, [this] { contexts.EraseExpired(); }) {}

  void Handle(std::shared_ptr<const http::Request> request, std::shared_ptr<http::Exchange> exchange);
  void Dispatch(Call call);
  void Enter(Call call, const Route& route);
  using Parser = Result<ParsedGeneration> (*)(std::string_view body);
  using ContextCall = void (ContextHandler::*)(const Call& call, const std::string& id);
  void HandleChatCompletion(const Call& call) { Generate(call, ParseChatCompletion); }
  void HandleCompletion(const Call& call) { Generate(call, ParseCompletion); }
  void HandleModels(const Call& call);
  void HandleModel(const Call& call);
  void HandleLoad(const Call& call);
  void HandleUnload(const Call& call);
  void HandleHealth(const Call& call);
  void HandleReady(const Call& call);
  void HandleMetrics(const Call& call);
  void HandleVersion(const Call& call);
  void HandleRequests(const Call& call);
  void HandleSlo(const Call& call);
  void HandleCache(const Call& call);
  void HandleConsole(const Call& call);
  void HandleSummary(const Call& call);
  void UpdateMetrics();

  void Generate(const Call& call, Parser parse);
  template <ContextCall kCall>
  void HandleContext(const Call& call);
  void HandleNewContext(const Call& call);
  void HandleContexts(const Call& call);
  bool WithLoadedModel(const std::string& name, std::function<void(const ModelRegistry::Lease&)> body) override;
  void WithModel(const Call& call, const std::string& name, std::function<void(const ServedModel&)> body) override;
  Result<std::shared_ptr<const Principal>> Authenticate(const http::Request& request) const;
  Result<std::string> Resolve(const Call& call, const std::string& name) const;

  // nullptr before Serve.
  std::shared_ptr<ModelRegistry> Registry() const;
  // The models, or why none takes requests now.
  Result<std::shared_ptr<ModelRegistry>> ReadyRegistry() const;
  void Reply(const Call& call, http::Response response);
  void ReplyError(const Call& call, const Error& error, int64_t retry_after_seconds) override;
  void ReplyError(const Call& call, const Error& error) { ReplyError(call, error, kRetryAfterNotReadySeconds); }
  void ReplyWithCard(const Call& call, const std::string& name);
  RequestOutcome OutcomeOf(const Call& call) const override;
  void TakeModelMetrics(const ModelRegistry& models);
  // Made once for each engine: they look through the vocabulary and try the chat template.
  struct OfEngine {
    uint64_t engine_serial = 0;
    std::shared_ptr<const PromptEncoder> encoder;
    std::shared_ptr<const PublicPrefixes> public_prefixes;
  };
  OfEngine KnownOf(const std::string& model_name, const Engine& engine);
  std::shared_ptr<const PublicPrefixes> PublicPrefixesOf(const std::string& model_name, const PromptEncoder& encoder) const;
  void BeginAcquire();
  void EndAcquire();
  void WaitForAcquires();
  bool WaitForConnectionsToEnd(std::chrono::milliseconds limit);

  static std::span<const Route> Routes();

  const ApiServerOptions options;
  ServerMetrics& metrics;
  const Clock& clock;
  std::unique_ptr<SloService> slo;  // null: no objectives
  RequestLog requests;
  RequestObserver observer;
  const TimePoint started;
  IdSource ids;
  DeliveryThread delivery;
  GenerationHandler generation;
  const std::unique_ptr<ContextStore> context_store;
  ContextHandler contexts;
  std::atomic<bool> is_draining{false};

  mutable std::mutex mutex;                 // of the next three
  std::shared_ptr<ModelRegistry> registry;  // nullptr until Serve
  int64_t num_acquiring = 0;                // requests that wait for their model
  std::map<std::string, OfEngine> known;    // by model; one whose engine has ended is never used again
  std::condition_variable acquired;
  PeriodicThread sweeper;                           // of contexts
  std::unique_ptr<MetricExporter> metric_exporter;  // null: nobody is told
  std::unique_ptr<http::Server> http;               // last: its threads use all of the above
};

std::span<const ApiServer::Impl::Route> ApiServer::Impl::Routes() {
  static constexpr Route kRoutes[] = {
      {"POST", "/v1/chat/completions", "/v1/chat/completions", &Impl::HandleChatCompletion},
      {"POST", "/v1/completions", "/v1/completions", &Impl::HandleCompletion},
      {"POST", "/v1/contexts", "/v1/contexts", &Impl::HandleNewContext},
      {"GET", "/v1/contexts", "/v1/contexts", &Impl::HandleContexts},
      {"POST", kContextsPrefix, "/v1/contexts/{id}/fork", &Impl::HandleContext<&ContextHandler::Fork>, Door::kKnown, "/fork"},
      {"POST", kContextsPrefix, "/v1/contexts/{id}/pin", &Impl::HandleContext<&ContextHandler::Pin>, Door::kKnown, "/pin"},
      {"POST", kContextsPrefix, "/v1/contexts/{id}/unpin", &Impl::HandleContext<&ContextHandler::Unpin>, Door::kKnown, "/unpin"},
      {"POST", kContextsPrefix, "/v1/contexts/{id}/save", &Impl::HandleContext<&ContextHandler::Save>, Door::kKnown, "/save"},
      {"POST", kContextsPrefix, "/v1/contexts/{id}/restore", &Impl::HandleContext<&ContextHandler::Restore>, Door::kKnown,
       "/restore"},
      {"GET", kContextsPrefix, "/v1/contexts/{id}", &Impl::HandleContext<&ContextHandler::Get>},
      {"DELETE", kContextsPrefix, "/v1/contexts/{id}", &Impl::HandleContext<&ContextHandler::Erase>},
      {"GET", "/v1/requests", "/v1/requests", &Impl::HandleRequests, Door::kKnown, {}, Purpose::kLook},
      {"GET", "/v1/requests/", "/v1/requests/{id}/timing", &Impl::HandleRequests, Door::kKnown, "/timing", Purpose::kLook},
      {"GET", "/v1/traces/", "/v1/traces/{id}", &Impl::HandleRequests, Door::kKnown, {}, Purpose::kLook},
      {"GET", "/v1/slo", "/v1/slo", &Impl::HandleSlo, Door::kKnown, {}, Purpose::kLook},
      {"GET", "/v1/cache", "/v1/cache", &Impl::HandleCache, Door::kKnown, {}, Purpose::kLook},
      {"GET", "/console", "/console", &Impl::HandleConsole, Door::kOpen, {}, Purpose::kLook},
      {"GET", "/console/data/summary", "/console/data/summary", &Impl::HandleSummary, Door::kKnown, {}, Purpose::kLook},
      {"GET", "/console/", "/console", &Impl::HandleConsole, Door::kOpen, {}, Purpose::kLook},
      {"GET", "/v1/models", "/v1/models", &Impl::HandleModels},
      {"POST", kModelsPrefix, "/v1/models/{id}/load", &Impl::HandleLoad, Door::kKnown, kLoadSuffix},
      {"POST", kModelsPrefix, "/v1/models/{id}/unload", &Impl::HandleUnload, Door::kKnown, kUnloadSuffix},
      {"GET", kModelsPrefix, "/v1/models/{id}", &Impl::HandleModel},
      {"GET", "/health", "/health", &Impl::HandleHealth, Door::kOpen, {}, Purpose::kLook},
      {"GET", "/ready", "/ready", &Impl::HandleReady, Door::kOpen, {}, Purpose::kLook},
      {"GET", "/metrics", "/metrics", &Impl::HandleMetrics, Door::kOpen, {}, Purpose::kLook},
      {"GET", "/version", "/version", &Impl::HandleVersion, Door::kOpen, {}, Purpose::kLook},
  };
  return kRoutes;
}

void ApiServer::Impl::Handle(std::shared_ptr<const http::Request> request, std::shared_ptr<http::Exchange> exchange) {
  const std::string_view given_id = request->Header("x-request-id");
  std::string id = IsValidRequestId(given_id) ? std::string(given_id) : ids.NextUuid();
  ReplyChannel channel = OpenReplyChannel(*request, std::move(exchange), std::move(id), requests);
  const ScopedLogTrace trace(channel.active.get());
  channel.active->Enter(Stage::kHandle);
  std::string path = PercentDecode(request->path);
  if (path == "/console/") path += "index.html";
  Dispatch({.request = std::move(request), .path = std::move(path), .channel = std::move(channel), .route = "other"});
}

void ApiServer::Impl::Dispatch(Call call) {
  const std::string_view path = call.path;
  const std::string& method = call.request->method;
  const auto routes = Routes();
  const auto first = std::ranges::find_if(routes, [path](const Route& one) { return one.Matches(path); });
  if (first == routes.end()) {
    return ReplyError(call, {.code = ErrorCode::kNotFound, .message = "There is nothing at " + call.request->path});
  }
  std::string allowed;  // methods of this path
  for (const Route& route : routes) {
    if (route.name != first->name) continue;
    if (method == route.method || (method == "HEAD" && route.method == "GET")) return Enter(std::move(call), route);
    allowed += (allowed.empty() ? "" : ", ") + std::string(route.method == "GET" ? "GET, HEAD" : route.method);
  }
  call.route = first->name;
  http::Response response = JsonReply(405, ErrorJson({.status = 405,
                                                      .message = call.request->path + " does not take " + method,
                                                      .type = "invalid_request_error",
                                                      .code = "method_not_allowed"}));
  response.headers.emplace_back("Allow", std::move(allowed));
  Reply(call, std::move(response));
}

void ApiServer::Impl::Enter(Call call, const Route& route) {
  call.route = route.name;
  ActiveRequest& active = *call.channel.active;
  active.Update([&](RequestRecord& record) {
    record.route = active.NameIndex(route.name);
    record.is_look = route.purpose == Purpose::kLook;
  });
  if (route.door == Door::kKnown) {
    active.Enter(Stage::kAuth);
    auto principal = Authenticate(*call.request);
    if (!principal) return ReplyError(call, principal.error());
    call.principal = *std::move(principal);
    active.Update([&](RequestRecord& record) {
      record.key = active.NameIndex(call.principal->key_id);
      record.tenant = active.NameIndex(call.principal->policy.tenant);
    });
  }
  active.Enter(Stage::kHandle);
  (this->*route.handler)(call);
}

void ApiServer::Impl::Generate(const Call& call, Parser parse) {
  if (const auto ready = ReadyRegistry(); !ready) return ReplyError(call, ready.error());
  call.channel.active->Enter(Stage::kParse);
  Result<ParsedGeneration> parsed = parse(call.request->body);
  if (!parsed) return ReplyError(call, parsed.error());
  if (const std::string context = parsed->params().context; !context.empty()) {
    const Status status = contexts.GoOnFrom(context, call.principal->cache_salt, *parsed);
    if (!status) return ReplyError(call, status.error());
  }
  generation.Handle(call, *std::move(parsed));
}

// "/v1/contexts/{id}" or "/v1/contexts/{id}/verb".
template <ApiServer::Impl::ContextCall kCall>
void ApiServer::Impl::HandleContext(const Call& call) {
  const std::string rest = call.path.substr(kContextsPrefix.size());
  (contexts.*kCall)(call, rest.substr(0, rest.find('/')));
}

void ApiServer::Impl::HandleNewContext(const Call& call) {
  if (const auto ready = ReadyRegistry(); !ready) return ReplyError(call, ready.error());
  contexts.Create(call);
}

void ApiServer::Impl::HandleContexts(const Call& call) { contexts.List(call); }

bool ApiServer::Impl::WithLoadedModel(const std::string& name, std::function<void(const ModelRegistry::Lease&)> body) {
  const auto models = Registry();
  if (!models) return false;
  const std::vector<ModelStatus> all = models->Models();
  const auto found = std::ranges::find(all, name, &ModelStatus::name);
  if (found == all.end() || found->state != ModelState::kLoaded) return false;
  BeginAcquire();
  models->Acquire(name, [this, body = std::move(body)](const Result<ModelRegistry::Lease>& lease) {
    if (lease) body(*lease);
    EndAcquire();
  });
  return true;
}

Result<std::shared_ptr<const Principal>> ApiServer::Impl::Authenticate(const http::Request& request) const {
  auto principal = std::make_shared<const Principal>();
  if (options.authenticator != nullptr) {
    AUTOGLM_TRY(principal, options.authenticator->Authenticate(request.Header("authorization"), request.Header("x-api-key")));
  }
  const std::string_view tenant = request.Header(kTenantHeader);
  if (tenant.empty()) return principal;
  return ActingFor(principal, tenant);
}

// The name of a model that this caller may use. One that it may not use is not there, for it.
Result<std::string> ApiServer::Impl::Resolve(const Call& call, const std::string& name) const {
  AUTOGLM_TRY(const std::shared_ptr<ModelRegistry> models, ReadyRegistry());
  AUTOGLM_TRY(std::string resolved, models->Resolve(name));
  const Policy& policy = call.principal->policy;
  if (policy.MayUse(resolved) || (!name.empty() && policy.MayUse(name))) return resolved;
  return Fail(ErrorCode::kPermissionDenied, "This key may not use the model '" + resolved + "'.", "model");
}

void ApiServer::Impl::WithModel(const Call& call, const std::string& name, std::function<void(const ServedModel&)> body) {
  const Result<std::string> model_name = Resolve(call, name);
  if (!model_name) return ReplyError(call, model_name.error());
  BeginAcquire();
  Registry()->Acquire(
      *model_name, [this, call, model_name = *model_name, body = std::move(body)](Result<ModelRegistry::Lease> lease) {
        if (lease) {
          OfEngine of_engine = KnownOf(model_name, **lease);
          body(ServedModel(*std::move(lease), model_name, std::move(of_engine.encoder), std::move(of_engine.public_prefixes),
                           options.version));
        } else if (lease.error().code == ErrorCode::kInternal) {
          // What is wrong with a file, and where it lies, is the operator's business: the registry has told the log.
          ReplyError(call, {.code = ErrorCode::kInternal,
                            .message = "The model '" + model_name + "' cannot be loaded; the server's log says why."});
        } else {
          ReplyError(call, lease.error());
        }
        EndAcquire();
      });
}

ApiServer::Impl::OfEngine ApiServer::Impl::KnownOf(const std::string& model_name, const Engine& engine) {
  {
    const std::lock_guard lock(mutex);
    const auto found = known.find(model_name);
    if (found != known.end() && found->second.engine_serial == engine.serial()) return found->second;
  }
  const LoadedModel& model = engine.model();
  OfEngine made{
      .engine_serial = engine.serial(),
      .encoder = std::make_shared<const PromptEncoder>(model.tokenizer(), model.chat_template(), engine.context_length())};
  made.public_prefixes = PublicPrefixesOf(model_name, *made.encoder);
  const std::lock_guard lock(mutex);
  known[model_name] = made;
  return made;
}

std::shared_ptr<const PublicPrefixes> ApiServer::Impl::PublicPrefixesOf(const std::string& model_name,
                                                                        const PromptEncoder& encoder) const {
  const auto models = Registry();
  const size_t precision = model_name.rfind('@');  // a model's prefixes are those of its other precisions, too
  const std::string suffix = precision == std::string::npos ? "" : model_name.substr(precision);
  const auto is_of = [&](const std::string& name) {
    return name.empty() || models->Resolve(name) == model_name || models->Resolve(name + suffix) == model_name;
  };
  auto found = std::make_shared<PublicPrefixes>();
  for (const PublicPrefix& prefix : options.public_prefixes) {
    if (!is_of(prefix.model)) continue;
    const Status status = found->Add(prefix, encoder);
    if (status) continue;
    Log(LogLevel::kWarning, "public_prefix_unusable",
        {{"model", std::string_view(model_name)},
         {"declared_at", std::string_view(prefix.origin)},
         {"problem", std::string_view(status.error().message)}});
  }
  return found;
}

void ApiServer::Impl::BeginAcquire() {
  const std::lock_guard lock(mutex);
  ++num_acquiring;
}

void ApiServer::Impl::EndAcquire() {
  const std::lock_guard lock(mutex);
  --num_acquiring;
  acquired.notify_all();
}

void ApiServer::Impl::WaitForAcquires() {
  std::unique_lock lock(mutex);
  acquired.wait(lock, [this] { return num_acquiring == 0; });
}

void ApiServer::Impl::HandleModels(const Call& call) {
  const auto models = Registry();
  std::vector<ModelCard> cards;
  const Policy& policy = call.principal->policy;
  for (const ModelStatus& status : models ? models->Models() : std::vector<ModelStatus>()) {
    const bool may_use = policy.MayUse(status.name);
    if (may_use) cards.push_back(CardOf(status, status.name));
    for (const std::string& alias : status.aliases) {
      if (may_use || policy.MayUse(alias)) cards.push_back(CardOf(status, alias));
    }
  }
  Reply(call, JsonReply(200, BuildModelList(cards)));
}

void ApiServer::Impl::HandleModel(const Call& call) { ReplyWithCard(call, call.path.substr(kModelsPrefix.size())); }

void ApiServer::Impl::HandleLoad(const Call& call) {
  const std::string name = call.path.substr(kModelsPrefix.size(), call.path.size() - kModelsPrefix.size() - kLoadSuffix.size());
  WithModel(call, name, [this, call, name](const ServedModel&) { ReplyWithCard(call, name); });
}

void ApiServer::Impl::HandleUnload(const Call& call) {
  const std::string name = call.path.substr(kModelsPrefix.size(), call.path.size() - kModelsPrefix.size() - kUnloadSuffix.size());
  if (const auto resolved = Resolve(call, name); !resolved) return ReplyError(call, resolved.error());
  BeginAcquire();
  Registry()->Unload(name, [this, call, name](const Status& status) {
    if (status) {
      ReplyWithCard(call, name);
    } else {
      ReplyError(call, status.error());
    }
    EndAcquire();
  });
}

void ApiServer::Impl::ReplyWithCard(const Call& call, const std::string& name) {
  const auto models = Registry();
  if (!models) return ReplyError(call, {.code = ErrorCode::kUnavailable, .message = "the model is still loading"});
  const Result<std::string> resolved = Resolve(call, name);
  if (!resolved) return ReplyError(call, resolved.error());
  ModelStatus found{.name = *resolved};  // a precision nobody has asked for is as good as unloaded
  for (ModelStatus& status : models->Models()) {
    if (status.name == *resolved) found = std::move(status);
  }
  const bool is_alias = std::ranges::find(found.aliases, name) != found.aliases.end();
  Reply(call, JsonReply(200, BuildModel(CardOf(found, is_alias ? name : found.name))));
}

void ApiServer::Impl::HandleHealth(const Call& call) { Reply(call, JsonReply(200, R"({"status":"ok"})")); }

void ApiServer::Impl::HandleReady(const Call& call) {
  const auto ready = ReadyRegistry();
  if (!ready) return ReplyError(call, ready.error());
  Reply(call, JsonReply(200, R"({"status":"ready"})"));
}

void ApiServer::Impl::HandleMetrics(const Call& call) {
  UpdateMetrics();
  const MetricFormat format = MetricFormatFor(call.request->Header("accept"));
  Reply(call, TextReply(200, metrics.Render(format), std::string(ContentTypeOf(format))));
}

// To the numbers as of now.
void ApiServer::Impl::UpdateMetrics() {
  if (const auto models = Registry()) TakeModelMetrics(*models);
  observer.CatchUp();
  SetCounterTotal(metrics.records_missed, static_cast<double>(requests.num_missed()));
  CountSpans(observer, metrics.set());
}

void ApiServer::Impl::HandleSlo(const Call& call) {
  if (slo == nullptr) {
    return ReplyError(call, {.code = ErrorCode::kNotFound, .message = "This server has no objectives; start it with --slo."});
  }
  Reply(call, JsonReply(200, slo->StatusJson()));
}

// What each loaded model has in memory, and below it.
void ApiServer::Impl::HandleCache(const Call& call) {
  const auto models = Registry();
  std::vector<std::string> loaded;
  for (const ModelStatus& model : models ? models->Models() : std::vector<ModelStatus>()) {
    if (model.state == ModelState::kLoaded && call.principal->policy.MayUse(model.name)) loaded.push_back(model.name);
  }
  const auto listing =
      std::make_shared<CacheListing>(loaded.size(), [this, call](Json json) { Reply(call, JsonReply(200, DumpJson(json))); });
  for (const std::string& name : loaded) {
    const bool is_there = WithLoadedModel(name, [listing, name](const ModelRegistry::Lease& lease) {
      const int64_t block_bytes = lease->model().lm().kv_layout().block_bytes();
      lease->ListCache(kMaxListedPrefixes, [listing, name, block_bytes](const Engine::CacheContents& contents) {
        listing->Add(CacheJson(name, block_bytes, contents));
      });
    });
    if (!is_there) listing->Add(nullptr);
  }
}

void ApiServer::Impl::HandleConsole(const Call& call) {
  auto page = ConsolePage(call.path);
  if (!page) return ReplyError(call, {.code = ErrorCode::kNotFound, .message = "There is nothing at " + call.path});
  Reply(call, *std::move(page));
}

void ApiServer::Impl::HandleSummary(const Call& call) {
  Json list = Json::array();
  const auto models = Registry();
  for (const ModelStatus& model : models ? models->Models() : std::vector<ModelStatus>()) {
    if (call.principal->policy.MayUse(model.name)) list.push_back(SummaryOf(model));
  }
  Reply(call, JsonReply(200, DumpJson({{"kind", "server"},
                                       {"version", options.version},
                                       {"uptime_s", Seconds(clock.Now() - started)},
                                       {"active", requests.num_active()},
                                       {"finished", requests.num_finished()},
                                       {"is_draining", is_draining.load()},
                                       {"models", std::move(list)}})));
}

// Where keys tell who asks, each tenant sees its own requests; who may act for others sees all.
void ApiServer::Impl::HandleRequests(const Call& call) {
  const Policy& policy = call.principal->policy;
  const bool sees_all = options.authenticator == nullptr || options.authenticator->is_open() || policy.acts_for_tenants;
  const auto may_see = [&](const RequestRecord& record) {
    return sees_all || requests.names().NameOf(record.tenant) == policy.tenant;
  };
  Reply(call, AnswerAboutRequests(requests, call.path, call.request->query, may_see));
}

void ApiServer::Impl::HandleVersion(const Call& call) {
  Reply(call, JsonReply(200, DumpJson({{"name", "autoglm"}, {"version", options.version}})));
}

std::shared_ptr<ModelRegistry> ApiServer::Impl::Registry() const {
  const std::lock_guard lock(mutex);
  return registry;
}

Result<std::shared_ptr<ModelRegistry>> ApiServer::Impl::ReadyRegistry() const {
  if (is_draining) return Fail(ErrorCode::kUnavailable, "the server is shutting down and takes no new requests");
  std::shared_ptr<ModelRegistry> current = Registry();
  if (!current) return Fail(ErrorCode::kUnavailable, "the model is still loading");
  return current;
}

void ApiServer::Impl::Reply(const Call& call, http::Response response) {
  const TimePoint now = clock.Now();
  call.channel.AddCommonHeaders(response, now);
  RequestOutcome outcome = OutcomeOf(call);
  outcome.status = response.status;
  RecordRequest(outcome, metrics, now);
  call.channel.exchange->Send(std::move(response));
}

void ApiServer::Impl::ReplyError(const Call& call, const Error& error, int64_t retry_after_seconds) {
  Reply(call, ErrorReply(error, retry_after_seconds));
}

RequestOutcome ApiServer::Impl::OutcomeOf(const Call& call) const {
  return {.active = call.channel.active,
          .id = call.channel.request_id,
          .method = call.request->method,
          .route = call.route,
          .accepted = call.channel.accepted};
}

void ApiServer::Impl::TakeModelMetrics(const ModelRegistry& models) {
  for (const ModelStatus& status : models.Models()) {
    ModelMetrics& model = metrics.ForModel(status.name);
    const EngineStats& stats = status.engine;
    model.num_requests_running.Set(static_cast<double>(stats.num_running));
    model.num_requests_waiting.Set(static_cast<double>(stats.num_waiting));
    model.backlog_seconds.Set(stats.backlog_seconds);
    model.num_promised.Set(static_cast<double>(stats.num_promised));
    const auto num_blocks = static_cast<double>(std::max<int64_t>(stats.blocks.num_blocks, 1));
    model.kv_cache_usage.Set(static_cast<double>(stats.blocks.num_used) / num_blocks);
    SetCounterTotal(model.drafted_tokens, static_cast<double>(stats.speculation.num_drafted));
    SetCounterTotal(model.accepted_tokens, static_cast<double>(stats.speculation.num_accepted));
    SetCounterTotal(model.preemptions, static_cast<double>(stats.num_preemptions));
    SetCounterTotal(model.interrupts, static_cast<double>(stats.num_interrupts));
    SetCounterTotal(model.prefix_cache_queries, static_cast<double>(stats.blocks.prefix_queries));
    SetCounterTotal(model.prefix_cache_hits, static_cast<double>(stats.blocks.prefix_hits));
    model.kv_compressed_stored.Set(static_cast<double>(stats.kv_tier.compressed.stored_bytes));
    SetCounterTotal(model.kv_compressed_kept, static_cast<double>(stats.kv_tier.compressed.num_kept));
    SetCounterTotal(model.kv_compressed_read, static_cast<double>(stats.kv_tier.compressed.num_read));
    SetCounterTotal(model.kv_compressed_dropped, static_cast<double>(stats.kv_tier.compressed.num_dropped));
    model.kv_disk_stored.Set(static_cast<double>(stats.kv_tier.disk.stored_bytes));
    model.kv_disk_read_speed.Set(stats.kv_tier.disk.read_bytes_per_second);
    SetCounterTotal(model.kv_disk_read, static_cast<double>(stats.kv_tier.disk.num_read));
    SetCounterTotal(model.kv_disk_written, static_cast<double>(stats.kv_tier.disk.num_written));
    SetCounterTotal(model.kv_disk_dropped, static_cast<double>(stats.kv_tier.disk.num_dropped));
    SetCounterTotal(model.kv_disk_damaged, static_cast<double>(stats.kv_tier.disk.num_damaged));
    SetCounterTotal(model.kv_disk_errors, static_cast<double>(stats.kv_tier.disk.num_errors));
    SetCounterTotal(model.kv_events_published, static_cast<double>(stats.kv_events.num_published));
    SetCounterTotal(model.kv_events_dropped, static_cast<double>(stats.kv_events.num_dropped));
    model.is_loaded.Set(status.state == ModelState::kLoaded ? 1 : 0);
    SetCounterTotal(model.loads, static_cast<double>(status.num_loads));
    SetCounterTotal(model.evictions, static_cast<double>(status.num_evictions));
    model.load_seconds.Set(status.last_load_seconds);
    model.weight_memory.Set(static_cast<double>(status.weight_bytes));
    model.kv_memory.Set(static_cast<double>(status.kv_bytes));
    model.kept_kv_memory.Set(static_cast<double>(status.kept_kv_bytes));
  }
  metrics.memory_budget.Set(static_cast<double>(models.memory_budget_bytes()));
  metrics.memory_used.Set(static_cast<double>(models.memory_used_bytes()));
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
  AUTOGLM_TRY(std::unique_ptr<ContextStore> contexts, ContextStore::Open(options.contexts));
  auto impl = std::make_unique<Impl>(options, std::move(contexts), metrics, clock);
  if (options.slo) {
    AUTOGLM_TRY(impl->slo, SloService::Start(*options.slo, metrics.set(), clock));
    impl->requests.SetJudge(
        [raw = impl.get()](const RequestRecord& record) { return raw->slo->Observe(record, raw->requests.names()); });
  }
  if (options.tracing.metrics) {
    impl->metric_exporter = std::make_unique<MetricExporter>(*options.tracing.metrics, [raw = impl.get()] {
      raw->UpdateMetrics();
      return raw->metrics.set().Collect();
    });
  }
  AUTOGLM_TRY(impl->http, http::Server::Start(options.http, [raw = impl.get()](auto request, auto exchange) {
                raw->Handle(std::move(request), std::move(exchange));
              }));
  impl->observer.SetPort(impl->http->port());
  return std::unique_ptr<ApiServer>(new ApiServer(std::move(impl)));
}

ApiServer::ApiServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ApiServer::~ApiServer() {
  // First every answer ends with a reason, then the connections go.
  BeginDrain();
  impl_->sweeper.Stop();
  impl_->WaitForAcquires();
  impl_->delivery.Stop();
  impl_->WaitForConnectionsToEnd(kFarewellPatience);
  impl_->http.reset();
}

void ApiServer::Serve(std::shared_ptr<ModelRegistry> registry) {
  const std::lock_guard lock(impl_->mutex);
  AUTOGLM_CHECK(impl_->registry == nullptr);
  impl_->registry = std::move(registry);
}

uint16_t ApiServer::port() const { return impl_->http->port(); }

void ApiServer::BeginDrain() {
  impl_->is_draining = true;
  if (const auto models = impl_->Registry()) models->BeginDrain();
}

bool ApiServer::WaitUntilDrained(std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  if (!impl_->delivery.WaitUntilIdle(limit)) return false;
  const auto rest = deadline - std::chrono::steady_clock::now();
  return impl_->WaitForConnectionsToEnd(std::chrono::duration_cast<std::chrono::milliseconds>(rest));
}

}  // namespace autoglm
