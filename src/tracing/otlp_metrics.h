#pragma once

#include <prometheus/metric_family.h>

#include <cstdint>
#include <span>
#include <string>

#include "tracing/span.h"

namespace autoglm {

// Metrics as OTLP tells them: a request's body for POST /v1/metrics. What OpenTelemetry's convention for generative AI has a name
// for goes by that (gen_ai.server.time_to_first_token), the rest by our own; counts are totals since `start_unix_ns`.
// Source: opentelemetry-proto 1.x (metrics/v1).
enum class OtlpEncoding { kProtobuf, kJson };
std::string EncodeMetrics(std::span<const prometheus::MetricFamily> families, const SpanSource& source, int64_t start_unix_ns,
                          int64_t now_unix_ns, OtlpEncoding encoding);

}  // namespace autoglm
