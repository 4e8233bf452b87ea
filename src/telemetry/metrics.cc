#include "telemetry/metrics.h"

#include <fmt/format.h>
#include <prometheus/text_serializer.h>

#include <map>
#include <mutex>
#include <string_view>
#include <utility>

#include "telemetry/log.h"
#include "telemetry/process_metrics.h"

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
const Buckets kTokens = {1,    2,    5,     10,    20,    50,     100,    200,    500,    1000,
                         2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000, 1000000};

}  // namespace

struct ServerMetrics::Families {
  Families();

  prometheus::Counter& AddCounter(const std::string& name, const std::string& help, const prometheus::Labels& labels) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add(labels);
  }
  prometheus::Gauge& AddGauge(const std::string& name, const std::string& help, const prometheus::Labels& labels) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add(labels);
  }
  std::unique_ptr<ModelMetrics> AddModel(const std::string& model_name);

  prometheus::Registry registry;
  ProcessMetrics process{registry};
  prometheus::Family<prometheus::Counter>& requests_finished;
  prometheus::Family<prometheus::Counter>& http_requests;
  prometheus::Family<prometheus::Counter>& degraded_requests;
  std::mutex mutex;  // of the models
  std::map<std::string, std::unique_ptr<ModelMetrics>> models;
};

ServerMetrics::Families::Families()
    : requests_finished(prometheus::BuildCounter()
                            .Name("autoglm_request_success_total")
                            .Help("Requests that ended, by reason.")
                            .Register(registry)),
      http_requests(prometheus::BuildCounter()
                        .Name("autoglm_http_requests_total")
                        .Help("HTTP requests answered, by route and status code.")
                        .Register(registry)),
      degraded_requests(prometheus::BuildCounter()
                            .Name("autoglm_degraded_requests_total")
                            .Help("Requests that got less than they asked for, or nothing, because the engine was busy, by step.")
                            .Register(registry)) {
  for (const char* step : {"max_tokens", "n", "model", "refused"}) degraded_requests.Add({{"step", step}});
}

std::unique_ptr<ModelMetrics> ServerMetrics::Families::AddModel(const std::string& model_name) {
  const prometheus::Labels model{{"model_name", model_name}};
  const auto histogram = [&](const std::string& name, const std::string& help, const Buckets& buckets) -> prometheus::Histogram& {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add(model, buckets);
  };
  const auto counter = [&](const std::string& name, const std::string& help) -> prometheus::Counter& {
    return AddCounter(name, help, model);
  };
  const auto gauge = [&](const std::string& name, const std::string& help) -> prometheus::Gauge& {
    return AddGauge(name, help, model);
  };
  // A series that exists from the start makes the first event visible to rate().
  for (const char* reason : {"stop", "length", "cancelled", "error", "deadline"}) {
    requests_finished.Add({{"model_name", model_name}, {"finished_reason", reason}});
  }
  return std::make_unique<ModelMetrics>(ModelMetrics{
      .time_to_first_token = histogram("autoglm_time_to_first_token_seconds",
                                       "From the first byte of a request to its first token.", kFirstTokenSeconds),
      .time_per_output_token = histogram("autoglm_time_per_output_token_seconds",
                                         "Mean time between the output tokens of a request, after the first.", kPerTokenSeconds),
      .queue_time = histogram("autoglm_request_queue_time_seconds",
                              "From a request's arrival in the queue to its first scheduled step.", kRequestSeconds),
      .prefill_time = histogram("autoglm_request_prefill_time_seconds",
                                "From a request's first scheduled step to its first token.", kRequestSeconds),
      .decode_time =
          histogram("autoglm_request_decode_time_seconds", "From a request's first token to its last.", kRequestSeconds),
      .e2e_latency = histogram("autoglm_e2e_request_latency_seconds",
                               "From the first byte of a request to the end of its answer.", kRequestSeconds),
      .request_prompt_tokens =
          histogram("autoglm_request_prompt_tokens", "Prompt tokens of a request, cached ones included.", kTokens),
      .request_generation_tokens = histogram("autoglm_request_generation_tokens", "Tokens generated for a request.", kTokens),
      .prompt_tokens = counter("autoglm_prompt_tokens_total", "Prompt tokens of all requests, cached ones included."),
      .generation_tokens = counter("autoglm_generation_tokens_total", "Tokens generated for all requests."),
      .prefix_cache_queries =
          counter("autoglm_prefix_cache_queries_total", "Prompt tokens that were looked up in the prefix cache."),
      .prefix_cache_hits = counter("autoglm_prefix_cache_hits_total", "Prompt tokens that were found in the prefix cache."),
      .drafted_tokens = counter("autoglm_spec_decode_num_draft_tokens_total", "Tokens that were guessed and computed ahead."),
      .accepted_tokens = counter("autoglm_spec_decode_num_accepted_tokens_total", "Guessed tokens that were right."),
      .preemptions =
          counter("autoglm_num_preemptions_total", "Times a running sequence gave its cache blocks back and was queued again."),
      .interrupts = counter("autoglm_num_interrupts_total", "Steps that were given up for a more urgent request."),
      .num_requests_running = gauge("autoglm_num_requests_running", "Requests in the running batch."),
      .num_requests_waiting = gauge("autoglm_num_requests_waiting", "Requests in the queue."),
      .backlog_seconds = gauge("autoglm_backlog_seconds", "Work of waiting and running requests, as the engine predicts it."),
      .num_promised = gauge("autoglm_num_requests_promised", "Places kept free for requests that were told to come back."),
      .kv_cache_usage = gauge("autoglm_kv_cache_usage_perc", "Share of the KV cache blocks in use, 0 to 1."),
      .is_loaded = gauge("autoglm_model_loaded", "Whether the model is loaded, 0 or 1."),
      .loads = counter("autoglm_model_loads_total", "Times the model was loaded."),
      .evictions = counter("autoglm_model_evictions_total", "Times the model was unloaded to make room for another."),
      .load_seconds = gauge("autoglm_model_load_seconds", "How long the last load took until the model took requests."),
      .weight_memory = gauge("autoglm_model_weight_bytes", "Memory of the model's weights, when they are all there."),
      .kv_memory = gauge("autoglm_model_kv_reserved_bytes", "Memory reserved for the model's keys and values."),
      .kept_kv_memory = gauge("autoglm_model_kv_kept_bytes", "Memory of prefixes kept while the model is not loaded."),
      .kv_compressed_stored = gauge("autoglm_kv_compressed_stored_bytes", "Compressed keys and values in memory."),
      .kv_compressed_kept =
          counter("autoglm_kv_compressed_kept_blocks_total", "Blocks of keys and values that were compressed when evicted."),
      .kv_compressed_read = counter("autoglm_kv_compressed_read_blocks_total", "Compressed blocks that came back into use."),
      .kv_compressed_dropped =
          counter("autoglm_kv_compressed_dropped_blocks_total", "Compressed blocks that were lost to newer ones."),
      .kv_disk_stored = gauge("autoglm_kv_disk_stored_bytes", "Keys and values of the model in files, while it is loaded."),
      .kv_disk_read_speed =
          gauge("autoglm_kv_disk_read_bytes_per_second", "How fast blocks came from the disk lately; at first a guess."),
      .kv_disk_read = counter("autoglm_kv_disk_read_blocks_total", "Blocks of keys and values that came back from the disk."),
      .kv_disk_written =
          counter("autoglm_kv_disk_written_blocks_total", "Blocks of keys and values that were written to the disk."),
      .kv_disk_dropped =
          counter("autoglm_kv_disk_dropped_blocks_total", "Blocks that were not written: the queue was full, or the disk."),
      .kv_disk_damaged =
          counter("autoglm_kv_disk_damaged_blocks_total", "Files that were not what their names say, and were removed."),
      .kv_disk_errors = counter("autoglm_kv_disk_errors_total", "Blocks that the system refused to write or to read."),
      .kv_events_published = counter("autoglm_kv_events_published_total", "Changes of the prefix cache that routers were told."),
      .kv_events_dropped = counter("autoglm_kv_events_dropped_total",
                                   "Changes lost because the publisher could not keep up; followers were cleared."),
      .finished_family = requests_finished,
      .name = model_name});
}

ServerMetrics::ServerMetrics() : ServerMetrics(std::make_unique<Families>()) {}

ServerMetrics::ServerMetrics(std::unique_ptr<Families> families)
    : log_lines_dropped(
          families->AddCounter("autoglm_log_lines_dropped_total", "Log lines lost because the writer could not keep up.", {})),
      memory_budget(
          families->AddGauge("autoglm_memory_budget_bytes", "What weights and KV of all models may take; 0: no limit.", {})),
      memory_used(families->AddGauge("autoglm_memory_used_bytes", "What weights and KV of all models take of the budget.", {})),
      families_(std::move(families)) {}

ServerMetrics::~ServerMetrics() = default;

std::string ServerMetrics::RenderText() const {
  families_->process.Update();
  SetCounterTotal(log_lines_dropped, static_cast<double>(NumDroppedLogLines()));
  return prometheus::TextSerializer().Serialize(families_->registry.Collect());
}

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
