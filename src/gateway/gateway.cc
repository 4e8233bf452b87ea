#include "gateway/gateway.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>
#include <utility>

#include "base/check.h"
#include "config/host_port.h"
#include "console/slo_options.h"
#include "telemetry/log.h"
#include "telemetry/process_metrics.h"
#include "tracing/tracing_options.h"

namespace autoglm::gateway {
namespace {

constexpr std::chrono::milliseconds kDrainLook{10};

uint64_t RandomSeed() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) | device();
}

void LogLimitsProblem(const Error& error) {
  Log(LogLevel::kError, "limits_problem", {{"problem", std::string_view(error.message)}});
}

void LogLimitsRecovery(std::string_view what) { Log(LogLevel::kInfo, "limits_recovered", {{"of", what}}); }

int NumThreads(const GatewayConfig& config) {
  return config.threads > 0 ? config.threads : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

Result<http::ServerOptions> ServerOptionsOf(const ListenConfig& listen, const LimitConfig& limits, std::optional<int> socket) {
  http::ServerOptions options{.host = listen.host,
                              .port = listen.port,
                              .listening_socket = socket,
                              .max_body_bytes = limits.max_body_bytes,
                              .max_arriving_body_bytes = limits.max_arriving_body_bytes,
                              .max_header_bytes = limits.max_header_bytes,
                              .max_connections = limits.max_connections,
                              .header_timeout = limits.header_timeout,
                              .body_timeout = limits.body_timeout,
                              .idle_timeout = limits.idle_timeout,
                              .write_timeout = limits.write_timeout};
  if (listen.tls) {
    AUTOGLM_TRY(options.tls, http::TlsContext::ForServer(*listen.tls));
  }
  return options;
}

// What a reload cannot change.
std::vector<std::string> NeedRestart(const GatewayConfig& before, const GatewayConfig& after) {
  std::vector<std::string> names;
  if (before.listen != after.listen) names.emplace_back("listen");
  if (before.admin != after.admin) names.emplace_back("admin");
  if (before.threads != after.threads) names.emplace_back("threads");
  if (before.limits != after.limits) names.emplace_back("limits");
  if (before.tracing != after.tracing) names.emplace_back("tracing");
  if (before.slo != after.slo) names.emplace_back("slo");
  return names;
}

bool HaveSameLimits(const GatewayConfig& a, const GatewayConfig& b) {
  return a.redis == b.redis && a.budget_database == b.budget_database && a.prices == b.prices;
}

bool HaveSameRules(RouteConfig a, RouteConfig b) {
  a.upstreams.clear();
  b.upstreams.clear();
  return a == b;
}

}  // namespace

struct Gateway::PerLoop {
  PerLoop(http::EventLoop& loop, Gateway& gateway)
      : shared(loop, RandomSeed()),
        ingress(shared, [&gateway] { return gateway.state_.load(); }, gateway.is_draining_, RandomSeed()) {}

  GatewayLoop shared;
  Ingress ingress;
};

Gateway::Gateway(GatewayOptions options, std::optional<SloServiceOptions> slo, const Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      started_(clock.Now()),
      slo_options_(std::move(slo)),
      metrics_({.latency_bounds = LatencyBoundsOf(slo_options_)}),
      requests_(clock),
      fleet_(std::make_unique<Fleet>(RandomSeed())) {}

Result<std::unique_ptr<Gateway>> Gateway::Start(GatewayConfig config, GatewayOptions options, const Clock& clock) {
  const std::string url = fmt::format("http://{}:{}", config.listen.host, config.listen.port);
  AUTOGLM_TRY(std::optional<SloServiceOptions> slo, MakeSloOptions(config.slo, url));
  std::unique_ptr<Gateway> gateway(new Gateway(std::move(options), std::move(slo), clock));
  AUTOGLM_TRY_VOID(gateway->Begin(std::move(config)));
  return gateway;
}

// An address that anybody can reach asks who it is, or is told that it need not.
Status Gateway::CheckDoors(const GatewayState& state) {
  const GatewayConfig& config = state.config;
  if (!IsLoopback(config.listen.host) && state.keys->authenticator().is_open() && !config.serves_anybody_anywhere) {
    return Fail(
        ErrorCode::kInvalidArgument,
        fmt::format("listen: {} can be reached from other machines, and without keys whoever reaches it could use the upstreams. "
                    "Configure keys or jwt, or say unauthenticated: anywhere",
                    config.listen.host));
  }
  if (config.admin && !IsLoopback(config.admin->host) && config.admin_token.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("admin: {} can be reached from other machines: set admin_token", config.admin->host));
  }
  return {};
}

Status Gateway::Begin(GatewayConfig config) {
  tokenizer_ = std::make_unique<PromptTokenizer>(NumThreads(config));
  AUTOGLM_TRY(const std::shared_ptr<const GatewayState> state, MakeState(std::move(config), nullptr));
  AUTOGLM_TRY_VOID(CheckDoors(*state));
  state_.store(state);
  AUTOGLM_TRY_VOID(fleet_->SetRoutes(*state));
  AUTOGLM_TRY(const TracingOptions tracing,
              MakeTracingOptions(state->config.tracing, "autoglm-gateway", options_.version, state->config.listen.port));
  observer_ = std::make_unique<RequestObserver>(
      requests_, tracing, [this](const RequestRecord& record) { metrics_.ObserveStages(record, requests_.names()); },
      [this] { metrics_.FlushStages(); });
  if (slo_options_) {
    AUTOGLM_TRY(slo_, SloService::Start(*slo_options_, metrics_.set(), clock_));
    requests_.SetJudge([this](const RequestRecord& record) { return slo_->Observe(record, requests_.names()); });
  }
  if (tracing.metrics) {
    metric_exporter_ = std::make_unique<MetricExporter>(*tracing.metrics, [this] {
      UpdateMetrics();
      return metrics_.set().Collect();
    });
  }
  StartLoops(state->config);
  return Listen(state->config);
}

void Gateway::StartLoops(const GatewayConfig& config) {
  for (int i = 0; i < NumThreads(config); ++i) {
    threads_.push_back(std::make_unique<http::LoopThread>());
    http::LoopThread& thread = *threads_.back();
    thread.RunAndWait([this, &thread] { loops_.push_back(std::make_unique<PerLoop>(thread.loop(), *this)); });
  }
}

Status Gateway::Listen(const GatewayConfig& config) {
  std::vector<http::EventLoop*> loops;
  std::vector<http::Server::Handler> handlers;
  for (size_t i = 0; i < loops_.size(); ++i) {
    loops.push_back(&threads_[i]->loop());
    handlers.emplace_back([&ingress = loops_[i]->ingress](auto request, auto exchange) {
      ingress.Handle(std::move(request), std::move(exchange));
    });
  }
  AUTOGLM_TRY(http::ServerOptions options, ServerOptionsOf(config.listen, config.limits, options_.socket));
  options.on_refused = [this](const http::RefusedRequest& refused) { OnRefused(refused); };
  AUTOGLM_TRY(server_, http::Server::Start(options, loops, std::move(handlers)));
  observer_->SetPort(server_->port());
  if (!config.admin) return {};
  AUTOGLM_TRY(const http::ServerOptions admin, ServerOptionsOf(*config.admin, LimitConfig{}, options_.admin_socket));
  AUTOGLM_TRY(admin_, Admin::Start(admin, *this));
  return {};
}

// What was no request, or too much of one: nothing is known of it but where it came from.
void Gateway::OnRefused(const http::RefusedRequest& refused) {
  metrics_.Refused(std::string(refused.code)).Increment();
  const std::shared_ptr<const GatewayState> state = state_.load();
  if (state == nullptr || state->audit == nullptr) return;
  state->audit->Add(
      {.time = std::chrono::system_clock::now(), .peer = refused.peer, .status = refused.status, .refusal = refused.code});
}

Gateway::~Gateway() {
  metric_exporter_.reset();
  admin_.reset();
  server_.reset();
  tokenizer_.reset();  // before the loops that it tells
  for (size_t i = 0; i < loops_.size(); ++i) {
    threads_[i]->RunAndWait([this, i] {
      loops_[i].reset();  // what requests hold of limits is given back while these can still be told
      state_.load()->limits->Leave(threads_[i]->loop());
    });
  }
  // What it keeps fresh is kept fresh on the fleet's thread.
  state_.store(nullptr);
  fleet_.reset();
}

std::optional<uint16_t> Gateway::admin_port() const {
  return admin_ == nullptr ? std::nullopt : std::optional<uint16_t>(admin_->port());
}

std::optional<int> Gateway::admin_socket() const {
  return admin_ == nullptr ? std::nullopt : std::optional<int>(admin_->listening_socket());
}

Result<std::shared_ptr<Route>> Gateway::MakeRoute(const RouteConfig& config, const GatewayState* previous) {
  if (previous != nullptr) {
    const std::shared_ptr<Route>* known = previous->routes->ByName(config.name);
    // The same in all but its upstreams: what is known of those is kept.
    if (known != nullptr && HaveSameRules((*known)->config(), config)) return *known;
  }
  return Route::Create(config, clock_, metrics_.ForRoute(config.name), RandomSeed());
}

Result<std::shared_ptr<const GatewayState>> Gateway::MakeState(GatewayConfig config, const GatewayState* previous) {
  std::vector<std::shared_ptr<Route>> routes;
  for (const RouteConfig& route : config.routes) {
    AUTOGLM_TRY(std::shared_ptr<Route> made, MakeRoute(route, previous));
    routes.push_back(std::move(made));
  }
  std::shared_ptr<const TokenKeys> keys;
  std::shared_ptr<guard::AuditLog> audit;
  std::shared_ptr<guard::UsageLimits> limits;
  if (previous != nullptr && previous->config.auth == config.auth) {
    keys = previous->keys;
  } else {
    AUTOGLM_TRY(keys, TokenKeys::Create(config.auth, fleet_->thread(), clock_));
  }
  if (previous != nullptr && previous->config.audit_log == config.audit_log) {
    audit = previous->audit;
  } else if (!config.audit_log.empty()) {
    AUTOGLM_TRY(audit, guard::AuditLog::Open(config.audit_log));
  }
  if (previous != nullptr && HaveSameLimits(previous->config, config)) {
    limits = previous->limits;
  } else {
    AUTOGLM_TRY(
        std::unique_ptr<guard::UsageLimits> made,
        guard::UsageLimits::Create({.redis = config.redis, .budget_database = config.budget_database, .prices = config.prices},
                                   clock_, {.on_problem = LogLimitsProblem, .on_recovery = LogLimitsRecovery}));
    limits = std::move(made);
  }
  return std::make_shared<const GatewayState>(GatewayState{.config = std::move(config),
                                                           .allows_faults = options_.allows_faults,
                                                           .keys = std::move(keys),
                                                           .limits = std::move(limits),
                                                           .audit = std::move(audit),
                                                           .routes = std::make_shared<const RouteTable>(std::move(routes)),
                                                           .tokenizer = *tokenizer_,
                                                           .metrics = metrics_,
                                                           .requests = requests_,
                                                           .clock = clock_});
}

Result<std::vector<std::string>> Gateway::Reload(GatewayConfig config) {
  const std::lock_guard lock(reload_mutex_);
  const std::shared_ptr<const GatewayState> previous = state_.load();
  std::vector<std::string> need_restart = NeedRestart(previous->config, config);
  config.tracing = previous->config.tracing;  // spans go on by these
  auto next = MakeState(std::move(config), previous.get());
  metrics_.Reloads(next ? "ok" : "failed").Increment();
  if (!next) return tl::unexpected<Error>(next.error());
  if (const Status status = fleet_->SetRoutes(**next); !status) {
    Log(LogLevel::kError, "discovery_failed", {{"problem", std::string_view(status.error().message)}});
  }
  state_.store(*next);
  return need_restart;
}

void Gateway::BeginDrain() {
  is_draining_ = true;
  server_->StopAccepting();
}

bool Gateway::WaitUntilDrained(std::chrono::milliseconds limit) {
  const TimePoint deadline = clock_.Now() + limit;
  while (server_->num_connections() > 0) {
    if (clock_.Now() >= deadline) return false;
    std::this_thread::sleep_for(kDrainLook);
  }
  return true;
}

std::string Gateway::RenderMetrics(MetricFormat format) {
  UpdateMetrics();
  return metrics_.Render(format);
}

void Gateway::UpdateMetrics() {
  observer_->CatchUp();
  SetCounterTotal(metrics_.records_missed, static_cast<double>(requests_.num_missed()));
  CountSpans(*observer_, metrics_.set());
  const std::shared_ptr<const GatewayState> state = state_.load();
  if (state->audit != nullptr) metrics_.audit_lines_dropped.Increment(static_cast<double>(state->audit->TakeNumDropped()));
  for (const auto& route : state->routes->routes()) {
    RouteMetrics& metrics = route->metrics();
    metrics.queue_depth.Set(static_cast<double>(route->line().size()));
    metrics.retry_budget_remaining.Set(static_cast<double>(route->retry_budget().Remaining()));
    if (route->exact_prefixes() != nullptr) {
      metrics.KnownBlocks().Set(static_cast<double>(route->exact_prefixes()->num_blocks()));
    }
    for (const routing::UpstreamStatus& status : route->pool().Status()) {
      UpstreamMetrics& upstream = metrics.ForUpstream(status.spec.name);
      upstream.inflight.Set(static_cast<double>(status.num_inflight));
      upstream.is_available.Set(status.availability == routing::Availability::kAvailable ? 1 : 0);
      upstream.breaker_state.Set(static_cast<double>(status.breaker));
    }
  }
}

}  // namespace autoglm::gateway
