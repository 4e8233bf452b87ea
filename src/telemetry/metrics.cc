#include "telemetry/metrics.h"

#include <fmt/format.h>

#include <map>
#include <mutex>
#include <string_view>
#include <utility>

#include "telemetry/log.h"
#include "telemetry/metric_catalogue.h"
#include "telemetry/process_metrics.h"
#include "telemetry/stage_histograms.h"

namespace autoglm {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;

// The bounds other LLM servers use, so that dashboards compare, with finer ones below for small models.
const Buckets kFirstTokenSeconds = {.001, .005, .01, .02, .04, .06, .08, .1, .25, .5,  .75,
                                    1,    2.5,  5,   7.5, 10,  20,  40,  80, 160, 640, 2560};
const Buckets kPerTokenSeconds = {.0005, .001, .002, .005, .01, .025, .05, .075, .1, .15, .2, .3,
                                  .4,    .5,   .75,  1,    2.5, 5,    7.5, 10,   20, 40,  80};
const Buckets kRequestSeconds = {.005, .01, .025, .05, .1, .2, .3, .5,  .8,  1,   1.5, 2,    2.5, 5,
                                 10,   15,  20,   30,  40, 50, 60, 120, 240, 480, 960, 1920, 7680};
constexpr uint16_t kMaxTenants = 102;  // a hundred, one for all others and one for those without a name
const Buckets kTokens = {1,    2,    5,     10,    20,    50,     100,    200,    500,    1000,
                         2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000, 1000000};

}  // namespace

struct LatencyByClass::State {
  MetricSet& set;
  const std::string name;
  const std::string model_name;
  const Buckets& bounds;
  std::mutex mutex;
  std::map<std::string, TracedHistogram*> by_class;
};

LatencyByClass::LatencyByClass(MetricSet& set, std::string name, std::string model_name, const std::vector<double>& bounds)
    : state_(new State{.set = set,
                       .name = std::move(name),
                       .model_name = std::move(model_name),
                       .bounds = bounds,
                       .mutex = {},
                       .by_class = {}}) {}

TracedHistogram& LatencyByClass::For(const std::string& slo_class) const {
  const std::lock_guard lock(state_->mutex);
  TracedHistogram*& histogram = state_->by_class[slo_class];
  if (histogram == nullptr) {
    histogram =
        &state_->set.AddLatency(state_->name, {{"model_name", state_->model_name}, {"slo_class", slo_class}}, state_->bounds);
  }
  return *histogram;
}

struct ServerMetrics::Families {
  explicit Families(MetricOptions options);

  std::unique_ptr<ModelMetrics> AddModel(const std::string& model_name);

  MetricSet set;
  prometheus::Family<prometheus::Counter>& requests_finished;
  prometheus::Family<prometheus::Counter>& http_requests;
  prometheus::Family<prometheus::Counter>& degraded_requests;
  StageHistograms stages;
  prometheus::Family<prometheus::Counter>& tenant_requests;
  prometheus::Family<prometheus::Counter>& tenant_tokens;
  InternedNames tenants{kMaxTenants};
  std::mutex mutex;  // of the models
  std::map<std::string, std::unique_ptr<ModelMetrics>> models;
};

ServerMetrics::Families::Families(MetricOptions options)
    : set(std::move(options)),
      requests_finished(set.Counters("autoglm_request_success_total")),
      http_requests(set.Counters("autoglm_http_requests_total")),
      degraded_requests(set.Counters("autoglm_degraded_requests_total")),
      stages(set.Histograms("autoglm_request_stage_seconds"), "model_name"),
      tenant_requests(set.Counters("autoglm_tenant_requests_total")),
      tenant_tokens(set.Counters("autoglm_tenant_tokens_total")) {
  for (const char* step : {"max_tokens", "n", "model", "refused"}) degraded_requests.Add({{"step", step}});
}

std::unique_ptr<ModelMetrics> ServerMetrics::Families::AddModel(const std::string& model_name) {
  const prometheus::Labels model{{"model_name", model_name}};
  const auto histogram = [&](const char* name, const Buckets& buckets) -> prometheus::Histogram& {
    return set.Histograms(name).Add(model, buckets);
  };
  const auto counter = [&](const char* name) -> prometheus::Counter& { return set.Counters(name).Add(model); };
  const auto gauge = [&](const char* name) -> prometheus::Gauge& { return set.Gauges(name).Add(model); };
  // A series that exists from the start makes the first event visible to rate().
  for (const char* reason : {"stop", "length", "cancelled", "error", "deadline"}) {
    requests_finished.Add({{"model_name", model_name}, {"finished_reason", reason}});
  }
  return std::make_unique<ModelMetrics>(ModelMetrics{
      .time_to_first_token = LatencyByClass(set, "autoglm_time_to_first_token_seconds", model_name, kFirstTokenSeconds),
      .time_per_output_token = histogram("autoglm_time_per_output_token_seconds", kPerTokenSeconds),
      .queue_time = histogram("autoglm_request_queue_time_seconds", kRequestSeconds),
      .prefill_time = histogram("autoglm_request_prefill_time_seconds", kRequestSeconds),
      .decode_time = histogram("autoglm_request_decode_time_seconds", kRequestSeconds),
      .inference_time = histogram("autoglm_request_inference_time_seconds", kRequestSeconds),
      .e2e_latency = LatencyByClass(set, "autoglm_e2e_request_latency_seconds", model_name, kRequestSeconds),
      .request_prompt_tokens = histogram("autoglm_request_prompt_tokens", kTokens),
      .request_generation_tokens = histogram("autoglm_request_generation_tokens", kTokens),
      .prompt_tokens = counter("autoglm_prompt_tokens_total"),
      .generation_tokens = counter("autoglm_generation_tokens_total"),
      .prefix_cache_queries = counter("autoglm_prefix_cache_queries_total"),
      .prefix_cache_hits = counter("autoglm_prefix_cache_hits_total"),
      .drafted_tokens = counter("autoglm_spec_decode_num_draft_tokens_total"),
      .accepted_tokens = counter("autoglm_spec_decode_num_accepted_tokens_total"),
      .preemptions = counter("autoglm_num_preemptions_total"),
      .interrupts = counter("autoglm_num_interrupts_total"),
      .num_requests_running = gauge("autoglm_num_requests_running"),
      .num_requests_waiting = gauge("autoglm_num_requests_waiting"),
      .backlog_seconds = gauge("autoglm_backlog_seconds"),
      .num_promised = gauge("autoglm_num_requests_promised"),
      .kv_cache_usage = gauge("autoglm_kv_cache_usage_perc"),
      .is_loaded = gauge("autoglm_model_loaded"),
      .loads = counter("autoglm_model_loads_total"),
      .evictions = counter("autoglm_model_evictions_total"),
      .load_seconds = gauge("autoglm_model_load_seconds"),
      .weight_memory = gauge("autoglm_model_weight_bytes"),
      .kv_memory = gauge("autoglm_model_kv_reserved_bytes"),
      .kept_kv_memory = gauge("autoglm_model_kv_kept_bytes"),
      .kv_compressed_stored = gauge("autoglm_kv_compressed_stored_bytes"),
      .kv_compressed_kept = counter("autoglm_kv_compressed_kept_blocks_total"),
      .kv_compressed_read = counter("autoglm_kv_compressed_read_blocks_total"),
      .kv_compressed_dropped = counter("autoglm_kv_compressed_dropped_blocks_total"),
      .kv_disk_stored = gauge("autoglm_kv_disk_stored_bytes"),
      .kv_disk_read_speed = gauge("autoglm_kv_disk_read_bytes_per_second"),
      .kv_disk_read = counter("autoglm_kv_disk_read_blocks_total"),
      .kv_disk_written = counter("autoglm_kv_disk_written_blocks_total"),
      .kv_disk_dropped = counter("autoglm_kv_disk_dropped_blocks_total"),
      .kv_disk_damaged = counter("autoglm_kv_disk_damaged_blocks_total"),
      .kv_disk_errors = counter("autoglm_kv_disk_errors_total"),
      .kv_events_published = counter("autoglm_kv_events_published_total"),
      .kv_events_dropped = counter("autoglm_kv_events_dropped_total"),
      .finished_family = requests_finished,
      .name = model_name});
}

ServerMetrics::ServerMetrics(MetricOptions options) : ServerMetrics(std::make_unique<Families>(std::move(options))) {}

ServerMetrics::ServerMetrics(std::unique_ptr<Families> families)
    : log_lines_dropped(families->set.Counters("autoglm_log_lines_dropped_total").Add({})),
      records_missed(families->set.Counters("autoglm_request_records_missed_total").Add({})),
      memory_budget(families->set.Gauges("autoglm_memory_budget_bytes").Add({})),
      memory_used(families->set.Gauges("autoglm_memory_used_bytes").Add({})),
      families_(std::move(families)) {}

ServerMetrics::~ServerMetrics() = default;

std::string ServerMetrics::Render(MetricFormat format) const {
  SetCounterTotal(log_lines_dropped, static_cast<double>(NumDroppedLogLines()));
  return families_->set.Render(format);
}

MetricSet& ServerMetrics::set() { return families_->set; }

void ServerMetrics::ObserveStages(const RequestRecord& record, const InternedNames& names) {
  if (record.model == 0) return;
  const std::string_view model_name = names.NameOf(record.model);
  families_->stages.Observe(record.model, model_name, record.stages);
  InternedNames& tenants = families_->tenants;
  const std::string tenant(tenants.NameOf(tenants.IndexOf(names.NameOf(record.tenant))));
  const prometheus::Labels labels{{"tenant", tenant}, {"model_name", std::string(model_name)}};
  families_->tenant_requests.Add(labels).Increment();
  const auto count = [&](const char* type, uint32_t num_tokens) {
    prometheus::Labels typed = labels;
    typed["type"] = type;
    families_->tenant_tokens.Add(typed).Increment(num_tokens);
  };
  count("input", record.num_prompt_tokens);
  count("cached", record.num_cached_tokens);
  count("output", record.num_completion_tokens);
}

void ServerMetrics::FlushStages() { families_->stages.Flush(); }

ModelMetrics& ServerMetrics::ForModel(const std::string& model_name) {
  const std::lock_guard lock(families_->mutex);
  std::unique_ptr<ModelMetrics>& metrics = families_->models[model_name];
  if (metrics == nullptr) metrics = families_->AddModel(model_name);
  return *metrics;
}

prometheus::Counter& ServerMetrics::HttpRequests(const std::string& path, int code) {
  return families_->http_requests.Add({{"path", path}, {"code", fmt::format("{}", code)}});
}

prometheus::Counter& ServerMetrics::DegradedRequests(const std::string& step) {
  return families_->degraded_requests.Add({{"step", step}});
}

prometheus::Counter& ModelMetrics::RequestsFinished(const std::string& finished_reason) const {
  return finished_family.Add({{"model_name", name}, {"finished_reason", finished_reason}});
}

}  // namespace autoglm
