#pragma once

#include <prometheus/metric_family.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "http/event_loop.h"
#include "tracing/collector_sender.h"
#include "tracing/otlp_metrics.h"
#include "tracing/span.h"

namespace autoglm {

struct MetricExporterOptions {
  CollectorAddress address;
  SpanSource source;
  OtlpEncoding encoding = OtlpEncoding::kProtobuf;
  std::chrono::milliseconds interval{15'000};
};

// Tells an OpenTelemetry collector the metrics every so often, on a thread of its own. One that is away misses a moment; totals
// go on.
class MetricExporter {
 public:
  using Collect = std::function<std::vector<prometheus::MetricFamily>()>;
  // `collect` is called on the exporter's thread.
  MetricExporter(MetricExporterOptions options, Collect collect);
  ~MetricExporter();
  MetricExporter(const MetricExporter&) = delete;
  MetricExporter& operator=(const MetricExporter&) = delete;

 private:
  void SendAndArm();

  const MetricExporterOptions options_;
  const Collect collect_;
  const int64_t start_unix_ns_;
  http::LoopThread thread_;
  // On its thread.
  std::unique_ptr<CollectorSender> sender_;
  http::EventLoop::Timer timer_;
};

}  // namespace autoglm
