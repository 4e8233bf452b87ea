// Trace headers of clients: whatever they say, what is taken of it can be passed on, and is read back the same.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "telemetry/trace_context.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t num_bytes) {
  using namespace autoglm;
  constexpr std::array<std::string_view, 8> kNames = {"traceparent", "tracestate",   "b3",         "x-b3-traceid",
                                                      "x-b3-spanid", "x-b3-sampled", "x-trace-id", "x-span-id"};
  // A line for each header.
  const std::string text(reinterpret_cast<const char*>(data), num_bytes);
  const auto header = [&](std::string_view name) {
    std::string_view rest = text;
    for (const std::string_view one : kNames) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      if (one == name) return rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return std::string_view();
  };
  const TraceContext context = TraceContext::Read(header);
  if (!context.trace.is_set()) return 0;
  AUTOGLM_CHECK(TraceId::Parse(context.trace.Hex()) == context.trace);
  const SpanId span = context.parent.is_set() ? context.parent : SpanId{1};
  const std::string sent = Traceparent(context.trace, span, true);
  const TraceContext again = TraceContext::Read(
      [&](std::string_view name) { return name == "traceparent" ? std::string_view(sent) : std::string_view(); });
  AUTOGLM_CHECK(again.trace == context.trace && again.parent == span && again.is_sampled == true);
  return 0;
}
