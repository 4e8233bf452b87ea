#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/labels.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "telemetry/process_metrics.h"
#include "telemetry/trace_context.h"

namespace autoglm {

// The last observation of a bucket that belongs to a trace.
struct Exemplar {
  TraceId trace;
  double value = 0;
  double unix_seconds = 0;
};

// A histogram whose buckets remember a trace each. Any thread.
class TracedHistogram {
 public:
  TracedHistogram(prometheus::Histogram& histogram, std::vector<double> bounds);

  void Observe(double value, const TraceId& trace = {});

  prometheus::ClientMetric Collect() const { return histogram_.Collect(); }
  // By bucket, the one beyond all bounds last.
  std::vector<std::optional<Exemplar>> exemplars() const;

 private:
  prometheus::Histogram& histogram_;
  const std::vector<double> bounds_;
  mutable std::mutex mutex_;
  std::vector<std::optional<Exemplar>> exemplars_;
};

struct MetricOptions {
  // Seconds that requests are promised to take: bounds of buckets, so that what was kept can be told exactly.
  std::vector<double> latency_bounds = {};
  bool has_vllm_names = false;  // everything that vLLM measures too goes by its name as well
};

enum class MetricFormat { kPrometheusText, kOpenMetrics };
// By an Accept header.
MetricFormat MetricFormatFor(std::string_view accept);
std::string_view ContentTypeOf(MetricFormat format);

// The metrics of a process, with the process's own. What they are called and mean stands in the catalogue.
class MetricSet {
 public:
  explicit MetricSet(MetricOptions options = {});

  prometheus::Family<prometheus::Counter>& Counters(std::string_view name);
  prometheus::Family<prometheus::Gauge>& Gauges(std::string_view name);
  prometheus::Family<prometheus::Histogram>& Histograms(std::string_view name);
  // With the promised times among its bounds.
  TracedHistogram& AddLatency(std::string_view name, const prometheus::Labels& labels, std::vector<double> bounds);

  // Families without series are left out. Traces stand in OpenMetrics only.
  std::string Render(MetricFormat format);
  // With the process's numbers as of now, and the names of vLLM where asked for.
  std::vector<prometheus::MetricFamily> Collect();

 private:
  std::vector<double> WithPromised(std::vector<double> bounds) const;

  const MetricOptions options_;
  prometheus::Registry registry_;
  ProcessMetrics process_;
  std::mutex mutex_;                                                   // of the map
  std::map<std::string, std::unique_ptr<TracedHistogram>> latencies_;  // by name and labels
};

}  // namespace autoglm
