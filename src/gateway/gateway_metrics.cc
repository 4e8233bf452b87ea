#include "gateway/gateway_metrics.h"

#include <fmt/format.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <utility>

#include "telemetry/process_metrics.h"

namespace autoglm::gateway {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;
using CounterFamily = prometheus::Family<prometheus::Counter>;
using GaugeFamily = prometheus::Family<prometheus::Gauge>;
using HistogramFamily = prometheus::Family<prometheus::Histogram>;

// OpenTelemetry's for gen_ai.server.request.duration and time_to_first_token, with finer ones below.
const Buckets kDurationSeconds = {.001, .0025, .005, .01,  .02,   .04,   .08,   .16,  .32,
                                  .64,  1.28,  2.56, 5.12, 10.24, 20.48, 40.96, 81.92};
const Buckets kFirstTokenSeconds = {.001, .0025, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80};
const Buckets kShares = {0, .1, .2, .3, .4, .5, .6, .7, .8, .9, .99, 1};
const Buckets kDecisionSeconds = {1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 1e-3};

}  // namespace

struct GatewayFamilies {
  prometheus::Registry registry;
  ProcessMetrics process{registry};

  CounterFamily& Counters(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
  }
  GaugeFamily& Gauges(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
  }
  HistogramFamily& Histograms(const char* name, const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
  }

  CounterFamily& http_requests =
      Counters("autoglm_gw_http_requests_total", "Requests of clients that ended, by route and status.");
  HistogramFamily& duration =
      Histograms("autoglm_gw_request_duration_seconds", "From a request's first byte to its answer's last.");
  HistogramFamily& first_token =
      Histograms("autoglm_gw_time_to_first_token_seconds", "From a request's first byte to the first of its answer's body.");
  HistogramFamily& decision = Histograms("autoglm_gw_routing_decision_seconds", "What it took to choose an upstream.");
  HistogramFamily& matched = Histograms("autoglm_gw_prefix_match_ratio",
                                        "Share of a prompt that the chosen upstream has in memory, as far as that is known.");
  GaugeFamily& known_blocks =
      Gauges("autoglm_gw_prefix_known_blocks", "Blocks that upstreams say they have in memory, which are routed by.");
  CounterFamily& tokens = Counters("autoglm_gw_tokens_total", "Tokens of answers, by what upstreams count.");
  GaugeFamily& queue_depth = Gauges("autoglm_gw_queue_depth", "Requests that wait in front of a route.");
  GaugeFamily& retry_budget = Gauges("autoglm_gw_retry_budget_remaining", "Retries that may begin now.");
  CounterFamily& retries = Counters("autoglm_gw_retries_total", "Attempts after the first, by why the one before failed.");
  CounterFamily& hedges = Counters("autoglm_gw_hedges_total", "Second attempts beside slow first ones, by who was quicker.");
  CounterFamily& continued = Counters("autoglm_gw_continued_streams_total", "Streams whose upstream died, by how that ended.");
  CounterFamily& degraded =
      Counters("autoglm_gw_degraded_requests_total", "Requests that got less than they asked for, by step.");
  CounterFamily& upstream_requests =
      Counters("autoglm_gw_upstream_requests_total", "Attempts at an upstream that ended, by status (0: no answer).");
  GaugeFamily& upstream_inflight = Gauges("autoglm_gw_upstream_inflight", "Requests that an upstream has from here.");
  GaugeFamily& upstream_available = Gauges("autoglm_gw_upstream_available", "Whether an upstream is asked: 0 or 1.");
  GaugeFamily& breaker_state = Gauges("autoglm_gw_cb_state", "An upstream's circuit breaker: 0 closed, 1 open, 2 half open.");
  CounterFamily& refused = Counters("autoglm_gw_refused_total", "Requests that the gateway refused, by reason.");
  CounterFamily& rate_limited = Counters("autoglm_gw_ratelimit_total", "Requests that a limit of their key refused, by kind.");
  CounterFamily& faults = Counters("autoglm_gw_fault_injected_total", "Requests that a fault was put into, by its name.");
  CounterFamily& reloads = Counters("autoglm_gw_config_reloads_total", "Times the configuration was read again, by outcome.");
  CounterFamily& audit_lines_dropped =
      Counters("autoglm_gw_audit_lines_dropped_total", "Lines of the audit log that could not be written.");
  GaugeFamily& open_requests = Gauges("autoglm_gw_open_requests", "Requests of clients that are being served.");

  std::mutex mutex;
  std::map<std::string, std::unique_ptr<RouteMetrics>> routes;
};

void CodeCounters::Count(int code) {
  const int known = code >= 100 && code < 600 ? code : 0;
  std::atomic<prometheus::Counter*>& slot = by_code_[static_cast<size_t>(known)];
  prometheus::Counter* counter = slot.load(std::memory_order_acquire);
  if (counter == nullptr) {
    prometheus::Labels labels = labels_;
    labels["code"] = std::to_string(known);
    counter = &family_.Add(labels);
    slot.store(counter, std::memory_order_release);
  }
  counter->Increment();
}

RouteMetrics::RouteMetrics(GatewayFamilies& families, std::string route)
    : requests(families.http_requests, {{"route", route}}),
      duration(families.duration.Add({{"route", route}}, kDurationSeconds)),
      first_token(families.first_token.Add({{"route", route}}, kFirstTokenSeconds)),
      decision(families.decision.Add({{"route", route}}, kDecisionSeconds)),
      matched(families.matched.Add({{"route", route}}, kShares)),
      input_tokens(families.tokens.Add({{"route", route}, {"type", "input"}})),
      output_tokens(families.tokens.Add({{"route", route}, {"type", "output"}})),
      queue_depth(families.queue_depth.Add({{"route", route}})),
      retry_budget_remaining(families.retry_budget.Add({{"route", route}})),
      families_(families),
      route_(std::move(route)) {}

prometheus::Counter& RouteMetrics::Retries(const std::string& reason) {
  return families_.retries.Add({{"route", route_}, {"reason", reason}});
}
prometheus::Counter& RouteMetrics::Hedges(const std::string& outcome) {
  return families_.hedges.Add({{"route", route_}, {"outcome", outcome}});
}
prometheus::Counter& RouteMetrics::ContinuedStreams(const std::string& outcome) {
  return families_.continued.Add({{"route", route_}, {"outcome", outcome}});
}
prometheus::Gauge& RouteMetrics::KnownBlocks() { return families_.known_blocks.Add({{"route", route_}}); }
prometheus::Counter& RouteMetrics::Degraded(const std::string& step) {
  return families_.degraded.Add({{"route", route_}, {"step", step}});
}

UpstreamMetrics::UpstreamMetrics(GatewayFamilies& families, const prometheus::Labels& labels)
    : requests(families.upstream_requests, labels),
      inflight(families.upstream_inflight.Add(labels)),
      is_available(families.upstream_available.Add(labels)),
      breaker_state(families.breaker_state.Add(labels)) {}

UpstreamMetrics& RouteMetrics::ForUpstream(const std::string& name) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<UpstreamMetrics>& metrics = upstreams_[name];
  if (metrics == nullptr) {
    metrics = std::make_unique<UpstreamMetrics>(families_, prometheus::Labels{{"route", route_}, {"upstream", name}});
  }
  return *metrics;
}

GatewayMetrics::GatewayMetrics() : GatewayMetrics(std::make_unique<GatewayFamilies>()) {}
GatewayMetrics::GatewayMetrics(std::unique_ptr<GatewayFamilies> families)
    : open_requests(families->open_requests.Add({})),
      audit_lines_dropped(families->audit_lines_dropped.Add({})),
      families_(std::move(families)) {}
GatewayMetrics::~GatewayMetrics() = default;

std::string GatewayMetrics::RenderText() const {
  families_->process.Update();
  return prometheus::TextSerializer().Serialize(families_->registry.Collect());
}

RouteMetrics& GatewayMetrics::ForRoute(const std::string& name) {
  const std::lock_guard lock(families_->mutex);
  std::unique_ptr<RouteMetrics>& metrics = families_->routes[name];
  if (metrics == nullptr) metrics = std::make_unique<RouteMetrics>(*families_, name);
  return *metrics;
}

prometheus::Counter& GatewayMetrics::Refused(const std::string& reason) { return families_->refused.Add({{"reason", reason}}); }
prometheus::Counter& GatewayMetrics::FaultsInjected(const std::string& fault) {
  return families_->faults.Add({{"fault", fault}});
}
prometheus::Counter& GatewayMetrics::RateLimited(const std::string& kind) {
  return families_->rate_limited.Add({{"kind", kind}});
}
prometheus::Counter& GatewayMetrics::Reloads(const std::string& outcome) {
  return families_->reloads.Add({{"outcome", outcome}});
}

}  // namespace autoglm::gateway
