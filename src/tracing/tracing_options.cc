#include "tracing/tracing_options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>

namespace autoglm {
namespace {

// "machine:4711": tells the processes of one service apart.
std::string InstanceName() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) return fmt::format("{}", getpid());
  return fmt::format("{}:{}", host.data(), getpid());
}

}  // namespace

Result<TracingOptions> MakeTracingOptions(const TracingConfig& config, std::string_view default_service, std::string_view version,
                                          uint16_t port) {
  TracingOptions options{.exporters = {}, .sample_ratio = config.sample_ratio, .slow = config.slow};
  const SpanSource source{.service_name = config.service_name.empty() ? std::string(default_service) : config.service_name,
                          .service_version = std::string(version),
                          .instance = InstanceName(),
                          .port = port};
  if (!config.otlp.empty()) {
    SpanExporterOptions exporter{.format = config.is_otlp_json ? SpanFormat::kOtlpJson : SpanFormat::kOtlpProtobuf,
                                 .source = source};
    AUTOGLM_TRY(exporter.address, CollectorAddress::Parse(config.otlp));
    if (config.metrics_interval.count() > 0) {
      options.metrics = MetricExporterOptions{.address = exporter.address,
                                              .source = source,
                                              .encoding = config.is_otlp_json ? OtlpEncoding::kJson : OtlpEncoding::kProtobuf,
                                              .interval = config.metrics_interval};
    }
    options.exporters.push_back(std::move(exporter));
  }
  if (!config.zipkin.empty()) {
    SpanExporterOptions exporter{.format = SpanFormat::kZipkinJson, .source = source};
    AUTOGLM_TRY(exporter.address, CollectorAddress::Parse(config.zipkin));
    options.exporters.push_back(std::move(exporter));
  }
  return options;
}

}  // namespace autoglm
