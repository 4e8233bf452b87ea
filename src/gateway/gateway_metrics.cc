#include "gateway/gateway_metrics.h"

#include <fmt/format.h>

#include <utility>

#include "telemetry/log.h"
#include "telemetry/metric_set.h"
#include "telemetry/process_metrics.h"
#include "telemetry/stage_histograms.h"

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
  explicit GatewayFamilies(MetricOptions options) : set(std::move(options)) {}

  MetricSet set;
  CounterFamily& http_requests = set.Counters("autoglm_gw_http_requests_total");
  HistogramFamily& decision = set.Histograms("autoglm_gw_routing_decision_seconds");
  StageHistograms stages{set.Histograms("autoglm_gw_request_stage_seconds"), "route"};
  HistogramFamily& matched = set.Histograms("autoglm_gw_prefix_match_ratio");
  GaugeFamily& known_blocks = set.Gauges("autoglm_gw_prefix_known_blocks");
  CounterFamily& tokens = set.Counters("autoglm_gw_tokens_total");
  GaugeFamily& queue_depth = set.Gauges("autoglm_gw_queue_depth");
  GaugeFamily& retry_budget = set.Gauges("autoglm_gw_retry_budget_remaining");
  CounterFamily& retries = set.Counters("autoglm_gw_retries_total");
  CounterFamily& hedges = set.Counters("autoglm_gw_hedges_total");
  CounterFamily& continued = set.Counters("autoglm_gw_continued_streams_total");
  CounterFamily& degraded = set.Counters("autoglm_gw_degraded_requests_total");
  CounterFamily& upstream_requests = set.Counters("autoglm_gw_upstream_requests_total");
  GaugeFamily& upstream_inflight = set.Gauges("autoglm_gw_upstream_inflight");
  GaugeFamily& upstream_available = set.Gauges("autoglm_gw_upstream_available");
  GaugeFamily& breaker_state = set.Gauges("autoglm_gw_cb_state");
  CounterFamily& refused = set.Counters("autoglm_gw_refused_total");
  CounterFamily& rate_limited = set.Counters("autoglm_gw_ratelimit_total");
  CounterFamily& faults = set.Counters("autoglm_gw_fault_injected_total");
  CounterFamily& reloads = set.Counters("autoglm_gw_config_reloads_total");
  CounterFamily& audit_lines_dropped = set.Counters("autoglm_gw_audit_lines_dropped_total");
  GaugeFamily& open_requests = set.Gauges("autoglm_gw_open_requests");

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
      duration(families.set.AddLatency("autoglm_gw_request_duration_seconds", {{"route", route}}, kDurationSeconds)),
      first_token(families.set.AddLatency("autoglm_gw_time_to_first_token_seconds", {{"route", route}}, kFirstTokenSeconds)),
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

GatewayMetrics::GatewayMetrics(MetricOptions options) : GatewayMetrics(std::make_unique<GatewayFamilies>(std::move(options))) {}
GatewayMetrics::GatewayMetrics(std::unique_ptr<GatewayFamilies> families)
    : open_requests(families->open_requests.Add({})),
      audit_lines_dropped(families->audit_lines_dropped.Add({})),
      log_lines_dropped(families->set.Counters("autoglm_log_lines_dropped_total").Add({})),
      records_missed(families->set.Counters("autoglm_request_records_missed_total").Add({})),
      families_(std::move(families)) {}
GatewayMetrics::~GatewayMetrics() = default;

std::string GatewayMetrics::Render(MetricFormat format) const {
  SetCounterTotal(log_lines_dropped, static_cast<double>(NumDroppedLogLines()));
  return families_->set.Render(format);
}

MetricSet& GatewayMetrics::set() { return families_->set; }

void GatewayMetrics::ObserveStages(const RequestRecord& record, const InternedNames& names) {
  if (record.num_attempts == 0) return;  // refused before it had a route
  families_->stages.Observe(record.route, names.NameOf(record.route), record.stages);
}

void GatewayMetrics::FlushStages() { families_->stages.Flush(); }

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
