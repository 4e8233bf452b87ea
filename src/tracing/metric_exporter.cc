#include "tracing/metric_exporter.h"

#include <utility>

#include "telemetry/utc_time.h"

namespace autoglm {
MetricExporter::MetricExporter(MetricExporterOptions options, Collect collect)
    : options_(std::move(options)), collect_(std::move(collect)), start_unix_ns_(UnixNanoseconds()) {
  thread_.RunAndWait([this] {
    sender_ = std::make_unique<CollectorSender>(thread_.loop(), options_.address);
    timer_ = thread_.loop().CallAfter(options_.interval, [this] { SendAndArm(); });
  });
}

MetricExporter::~MetricExporter() {
  thread_.RunAndWait([this] {
    timer_.Cancel();
    sender_.reset();
  });
}

void MetricExporter::SendAndArm() {
  if (!sender_->is_busy()) {
    const bool is_json = options_.encoding == OtlpEncoding::kJson;
    sender_->Send({.path = "/v1/metrics",
                   .content_type = is_json ? "application/json" : "application/x-protobuf",
                   .body = EncodeMetrics(collect_(), options_.source, start_unix_ns_, UnixNanoseconds(), options_.encoding),
                   .done = [](CollectorSender::Outcome) {}});
  }
  timer_ = thread_.loop().CallAfter(options_.interval, [this] { SendAndArm(); });
}

}  // namespace autoglm
