#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "telemetry/interned_names.h"
#include "telemetry/request_record.h"
#include "telemetry/request_texts.h"
#include "telemetry/trace_context.h"

namespace autoglm {

enum class SpanKind : uint8_t { kInternal = 1, kServer = 2, kClient = 3 };  // as OTLP numbers them

struct SpanEvent {
  std::string name;
  int64_t unix_ns = 0;
};

using AttributeValue = std::variant<std::string, int64_t, double, bool>;

struct Span {
  TraceId trace;
  SpanId id;
  SpanId parent;  // not set: the trace's first
  std::string name;
  SpanKind kind = SpanKind::kInternal;
  int64_t begin_unix_ns = 0;
  int64_t end_unix_ns = 0;
  std::vector<std::pair<std::string, AttributeValue>> attributes;
  std::vector<SpanEvent> events;
  bool is_error = false;
  std::string message;  // of the error
};

// Which process spans come from.
struct SpanSource {
  std::string service_name = "autoglm";
  std::string service_version;
  std::string instance;  // tells processes of one service apart
  uint16_t port = 0;     // that it serves at; 0: not said
};

// A gateway's attempt at an upstream has a span of its own, whose id goes along: the upstream's spans hang on it.
SpanId AttemptSpanId(const SpanId& request, size_t attempt);

// The spans of a finished request: one for all of it, and below it one for each piece of time in a stage and for each attempt.
// Attributes are named as vLLM's and SGLang's (gen_ai.latency.*, gen_ai.usage.*) and OpenTelemetry's; what has no name there is
// autoglm.*. Prompts and answers are in them where `text` is given.
std::vector<Span> SpansOf(const RequestRecord& record, const InternedNames& names, const RequestText* text = nullptr);

}  // namespace autoglm
