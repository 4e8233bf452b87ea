#include "tracing/request_observer.h"

#include <cmath>
#include <utility>

#include "telemetry/process_metrics.h"
#include "tracing/span.h"

namespace autoglm {
namespace {

constexpr std::chrono::milliseconds kInterval{100};

// The last 56 bits of a trace's id are random: W3C Trace Context, level 2.
double ShareOf(const TraceId& trace) {
  constexpr uint64_t kRandomBits = (uint64_t{1} << 56) - 1;
  return static_cast<double>((trace.low & kRandomBits) >> 3) * 0x1.0p-53;
}

std::vector<std::unique_ptr<SpanExporter>> MakeExporters(const TracingOptions& options) {
  std::vector<std::unique_ptr<SpanExporter>> exporters;
  exporters.reserve(options.exporters.size());
  for (const SpanExporterOptions& exporter : options.exporters) exporters.push_back(std::make_unique<SpanExporter>(exporter));
  return exporters;
}

}  // namespace

bool IsTraceKept(const RequestRecord& record, const TracingOptions& options) {
  if (record.is_sampled || record.violates_slo || record.status >= 500 || record.is_client_gone || record.num_attempts > 1) {
    return true;
  }
  return record.total_ns > Nanoseconds(options.slow) || ShareOf(record.trace) < options.sample_ratio;
}

RequestObserver::RequestObserver(RequestLog& log, const TracingOptions& options,
                                 std::function<void(const RequestRecord&)> on_record, std::function<void()> on_caught_up)
    : log_(log),
      options_(options),
      on_record_(std::move(on_record)),
      on_caught_up_(std::move(on_caught_up)),
      exporters_(MakeExporters(options)),
      thread_(kInterval, [this] { CatchUp(); }) {}

RequestObserver::~RequestObserver() {
  thread_.Stop();
  CatchUp();
}

void RequestObserver::CatchUp() {
  log_.Consume([this](const RequestRecord& record) { Take(record); });
  if (log_.texts() != nullptr) log_.texts()->EndPass();
  if (on_caught_up_) on_caught_up_();
}

void RequestObserver::SetPort(uint16_t port) {
  for (const auto& exporter : exporters_) exporter->SetPort(port);
}

void CountSpans(const RequestObserver& observer, MetricSet& metrics) {
  for (const auto& exporter : observer.exporters()) {
    const prometheus::Labels labels{{"exporter", std::string(exporter->name())}};
    SetCounterTotal(metrics.Counters("autoglm_trace_spans_exported_total").Add(labels),
                    static_cast<double>(exporter->num_exported()));
    SetCounterTotal(metrics.Counters("autoglm_trace_spans_dropped_total").Add(labels),
                    static_cast<double>(exporter->num_dropped()));
  }
}

void RequestObserver::Take(const RequestRecord& record) {
  if (on_record_) on_record_(record);
  std::optional<RequestText> text;
  if (log_.texts() != nullptr) text = log_.texts()->Take(record.span);
  if (exporters_.empty() || !IsTraceKept(record, options_)) return;
  const std::vector<Span> spans = SpansOf(record, log_.names(), text ? &*text : nullptr);
  for (const auto& exporter : exporters_) exporter->Add(spans);
}

}  // namespace autoglm
