#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm {

// 16 bytes, not all zero where there is one.
struct TraceId {
  uint64_t high = 0;
  uint64_t low = 0;

  bool is_set() const { return high != 0 || low != 0; }
  std::string Hex() const;  // 32 digits in lower case
  bool operator==(const TraceId&) const = default;

  // Of 32 or 16 digits, as Zipkin's shorter ones. nullopt for anything else, and for zero.
  static std::optional<TraceId> Parse(std::string_view hex);
};

struct SpanId {
  uint64_t value = 0;

  bool is_set() const { return value != 0; }
  std::string Hex() const;  // 16 digits in lower case
  bool operator==(const SpanId&) const = default;

  static std::optional<SpanId> Parse(std::string_view hex);
  // The id of this span's n-th child, so that whoever knows the span knows its children. Never zero.
  SpanId Child(uint64_t n) const;
};

// Fresh ones. Any thread, without a lock.
TraceId NewTraceId();
SpanId NewSpanId();

// Who asked, and in which trace: what comes with a request.
struct TraceContext {
  TraceId trace;
  SpanId parent;  // not set: the trace begins here
  // What the caller decided: true, its spans are kept; false, they are not; nullopt, it has not decided.
  std::optional<bool> is_sampled;
  std::string state;       // tracestate, passed on as it is
  bool speaks_b3 = false;  // it came in B3's headers

  // From the headers, the first of these that is whole: traceparent (W3C), b3, X-B3-TraceId and its kin, X-Trace-ID with
  // X-Span-ID. What is malformed counts as absent, as W3C Trace Context asks. `header` answers "" where there is none.
  static TraceContext Read(const std::function<std::string_view(std::string_view lower_case_name)>& header);
};

// "00-<trace>-<span>-01"; the last two digits say whether spans are kept.
std::string Traceparent(const TraceId& trace, const SpanId& span, bool is_sampled);
// "<trace>-<span>-1"
std::string SingleB3(const TraceId& trace, const SpanId& span, bool is_sampled);

}  // namespace autoglm
