#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/periodic_thread.h"
#include "telemetry/metric_set.h"
#include "telemetry/request_log.h"
#include "tracing/metric_exporter.h"
#include "tracing/span_exporter.h"

namespace autoglm {

struct TracingOptions {
  std::vector<SpanExporterOptions> exporters;  // none: no spans are made
  // Of the traces that nothing else speaks for, by their ids: all processes keep the same ones.
  double sample_ratio = 1;
  Duration slow = std::chrono::seconds(10);           // requests that took longer are always kept
  std::optional<MetricExporterOptions> metrics = {};  // where metrics are told
};

// Whether a finished request's trace is kept: its caller keeps it, it failed, was slow, broke an objective, was tried again or
// lost its client; or it is one of those that the ratio picks.
bool IsTraceKept(const RequestRecord& record, const TracingOptions& options);

// Reads every record that a log gets, soon after: for metrics, and for the traces that are kept. Requests never wait for it.
class RequestObserver {
 public:
  // `on_record` is called for each, on a thread of its own or on a caller's of CatchUp, and `on_caught_up` when there is no
  // further one for now. The log outlives the observer.
  RequestObserver(RequestLog& log, const TracingOptions& options, std::function<void(const RequestRecord&)> on_record,
                  std::function<void()> on_caught_up = nullptr);
  ~RequestObserver();  // looks once more

  // What has finished by now has been seen when it returns: before metrics are told.
  void CatchUp();

  // That the process serves at, where it was not known before.
  void SetPort(uint16_t port);

  const std::vector<std::unique_ptr<SpanExporter>>& exporters() const { return exporters_; }

 private:
  void Take(const RequestRecord& record);

  RequestLog& log_;
  const TracingOptions options_;
  const std::function<void(const RequestRecord&)> on_record_;
  const std::function<void()> on_caught_up_;
  const std::vector<std::unique_ptr<SpanExporter>> exporters_;
  PeriodicThread thread_;
};

// Spans that collectors took, and those they did not, as metrics.
void CountSpans(const RequestObserver& observer, MetricSet& metrics);

}  // namespace autoglm
