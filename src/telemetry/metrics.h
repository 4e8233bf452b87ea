#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <memory>
#include <string>
#include <vector>

#include "telemetry/interned_names.h"
#include "telemetry/metric_set.h"
#include "telemetry/process_metrics.h"
#include "telemetry/request_record.h"

namespace autoglm {

// Latencies of one model, by the class of requests whose target they are held to.
class LatencyByClass {
 public:
  // `set` and `bounds` outlive it.
  LatencyByClass(MetricSet& set, std::string name, std::string model_name, const std::vector<double>& bounds);

  TracedHistogram& For(const std::string& slo_class) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// What is measured of one model; `model_name` is a label of all of it. Counters and gauges are atomics; histograms take a short
// lock and are observed when a request ends, not in a step.
struct ModelMetrics {
  // Seconds.
  LatencyByClass time_to_first_token;
  prometheus::Histogram& time_per_output_token;
  prometheus::Histogram& queue_time;
  prometheus::Histogram& prefill_time;
  prometheus::Histogram& decode_time;
  prometheus::Histogram& inference_time;
  LatencyByClass e2e_latency;
  // Tokens.
  prometheus::Histogram& request_prompt_tokens;
  prometheus::Histogram& request_generation_tokens;

  prometheus::Counter& prompt_tokens;
  prometheus::Counter& generation_tokens;
  prometheus::Counter& prefix_cache_queries;  // tokens
  prometheus::Counter& prefix_cache_hits;     // tokens
  prometheus::Counter& drafted_tokens;
  prometheus::Counter& accepted_tokens;
  prometheus::Counter& preemptions;
  prometheus::Counter& interrupts;
  prometheus::Gauge& num_requests_running;
  prometheus::Gauge& num_requests_waiting;
  prometheus::Gauge& backlog_seconds;  // of work that waits and runs, as predicted
  prometheus::Gauge& num_promised;     // places kept free for requests that were sent away
  prometheus::Gauge& kv_cache_usage;   // 0..1, blocks in use

  prometheus::Gauge& is_loaded;  // 0 or 1
  prometheus::Counter& loads;
  prometheus::Counter& evictions;   // unloaded to make room
  prometheus::Gauge& load_seconds;  // of the last load
  // Bytes.
  prometheus::Gauge& weight_memory;
  prometheus::Gauge& kv_memory;       // reserved
  prometheus::Gauge& kept_kv_memory;  // prefixes of a model that is not loaded
  // Of the disk tier of keys and values: blocks, but bytes where it says so.
  prometheus::Gauge& kv_compressed_stored;  // bytes
  prometheus::Counter& kv_compressed_kept;
  prometheus::Counter& kv_compressed_read;
  prometheus::Counter& kv_compressed_dropped;
  prometheus::Gauge& kv_disk_stored;      // bytes
  prometheus::Gauge& kv_disk_read_speed;  // bytes a second
  prometheus::Counter& kv_disk_read;
  prometheus::Counter& kv_disk_written;
  prometheus::Counter& kv_disk_dropped;
  prometheus::Counter& kv_disk_damaged;
  prometheus::Counter& kv_disk_errors;
  prometheus::Counter& kv_events_published;
  prometheus::Counter& kv_events_dropped;

  // By FinishReasonName: stop, length, cancelled, error, deadline.
  prometheus::Family<prometheus::Counter>& finished_family;
  std::string name;
  prometheus::Counter& RequestsFinished(const std::string& finished_reason) const;
};

// Every metric this server exports. docs/METRICS.md lists names and meanings (a test compares).
class ServerMetrics {
 public:
  explicit ServerMetrics(MetricOptions options = {});
  ~ServerMetrics();

  // With the process's and the log's own numbers as of now.
  std::string Render(MetricFormat format) const;
  std::string RenderText() const { return Render(MetricFormat::kPrometheusText); }
  MetricSet& set();

  // Any thread. The metrics of a model, made when it is first named; callers name models that exist.
  ModelMetrics& ForModel(const std::string& model_name);
  // Labels: path (a known route or "other"), code.
  prometheus::Counter& HttpRequests(const std::string& path, int code);

  // Label: step, a name of server/degradation.h.
  prometheus::Counter& DegradedRequests(const std::string& step);

  // Of a request that generates: its stages, which show after the next FlushStages, and its tenant's share. Tenants beyond the
  // first hundred count as "other".
  void ObserveStages(const RequestRecord& record, const InternedNames& names);
  void FlushStages();

  prometheus::Counter& log_lines_dropped;
  prometheus::Counter& records_missed;
  prometheus::Gauge& memory_budget;  // bytes; 0: none
  prometheus::Gauge& memory_used;    // bytes, of weights and KV of all models

 private:
  struct Families;
  explicit ServerMetrics(std::unique_ptr<Families> families);
  std::unique_ptr<Families> families_;
};

}  // namespace autoglm
