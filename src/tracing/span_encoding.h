#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tracing/span.h"

namespace autoglm {

enum class SpanFormat { kOtlpJson, kOtlpProtobuf, kZipkinJson };

// Where spans in this format go, below a collector's address, and as what.
std::string_view SpanPathOf(SpanFormat format);  // "/v1/traces"
std::string_view ContentTypeOf(SpanFormat format);

// A request's body. Sources: opentelemetry-proto 1.x (trace/v1, common/v1) and OTLP's rules for JSON (ids in hex, 64-bit integers
// as text); Zipkin's API v2 (microseconds, values as text).
std::string EncodeSpans(std::span<const Span> spans, const SpanSource& source, SpanFormat format);

}  // namespace autoglm
