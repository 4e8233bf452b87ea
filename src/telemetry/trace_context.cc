#include "telemetry/trace_context.h"

#include <algorithm>
#include <charconv>
#include <random>

#include "base/random.h"

namespace autoglm {
namespace {

constexpr size_t kSpanDigits = 16;
constexpr size_t kMaxTraceStateBytes = 512;  // W3C: at least so much must be passed on

// 16 digits; for every request, so not by fmt.
void WriteHex(uint64_t value, char* out) {
  for (size_t i = kSpanDigits; i > 0; --i, value >>= 4) out[i - 1] = "0123456789abcdef"[value & 15];
}

std::optional<uint64_t> ParseHex(std::string_view hex) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), value, 16);
  if (error != std::errc() || end != hex.data() + hex.size()) return std::nullopt;
  return value;
}

bool IsLowerHex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// Each thread draws from a seed of its own.
Random& ThreadRandom() {
  thread_local Random random([] {
    std::random_device device;
    return (static_cast<uint64_t>(device()) << 32) | device();
  }());
  return random;
}

uint64_t NonZero() {
  uint64_t value = 0;
  while (value == 0) value = ThreadRandom().NextU64();
  return value;
}

std::string_view TakeUntil(std::string_view& rest, char separator) {
  const size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

// Version 00, and later ones as far as they begin like it.
std::optional<TraceContext> ReadTraceparent(std::string_view text) {
  constexpr size_t kLength = 55;
  if (text.size() < kLength || text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
  const std::string_view version = text.substr(0, 2);
  const std::string_view flags = text.substr(53, 2);
  if (!IsLowerHex(version) || version == "ff" || !IsLowerHex(flags)) return std::nullopt;
  if (version == "00" ? text.size() != kLength : (text.size() > kLength && text[kLength] != '-')) return std::nullopt;
  const std::string_view trace_hex = text.substr(3, 32);
  const std::string_view span_hex = text.substr(36, kSpanDigits);
  if (!IsLowerHex(trace_hex) || !IsLowerHex(span_hex)) return std::nullopt;
  const auto trace = TraceId::Parse(trace_hex);
  const auto span = SpanId::Parse(span_hex);
  if (!trace || !span) return std::nullopt;
  return TraceContext{.trace = *trace, .parent = *span, .is_sampled = (*ParseHex(flags) & 1) != 0, .state = {}};
}

std::optional<bool> ReadB3Decision(std::string_view text) {
  if (text == "1" || text == "d" || text == "true") return true;
  if (text == "0" || text == "false") return false;
  return std::nullopt;
}

std::optional<TraceContext> ReadSingleB3(std::string_view text) {
  const auto trace = TraceId::Parse(TakeUntil(text, '-'));
  const auto span = SpanId::Parse(TakeUntil(text, '-'));
  if (!trace || !span) return std::nullopt;
  return TraceContext{
      .trace = *trace, .parent = *span, .is_sampled = ReadB3Decision(TakeUntil(text, '-')), .state = {}, .speaks_b3 = true};
}

}  // namespace

std::string TraceId::Hex() const {
  std::string hex(2 * kSpanDigits, '0');
  WriteHex(high, hex.data());
  WriteHex(low, hex.data() + kSpanDigits);
  return hex;
}

std::string SpanId::Hex() const {
  std::string hex(kSpanDigits, '0');
  WriteHex(value, hex.data());
  return hex;
}

std::optional<TraceId> TraceId::Parse(std::string_view hex) {
  if (hex.size() != 2 * kSpanDigits && hex.size() != kSpanDigits) return std::nullopt;
  const auto high = hex.size() == kSpanDigits ? std::optional<uint64_t>(0) : ParseHex(hex.substr(0, kSpanDigits));
  const auto low = ParseHex(hex.substr(hex.size() - kSpanDigits));
  if (!high || !low || (*high == 0 && *low == 0)) return std::nullopt;
  return TraceId{*high, *low};
}

std::optional<SpanId> SpanId::Parse(std::string_view hex) {
  if (hex.size() != kSpanDigits) return std::nullopt;
  const auto value = ParseHex(hex);
  if (!value || *value == 0) return std::nullopt;
  return SpanId{*value};
}

SpanId SpanId::Child(uint64_t n) const {
  Random random(value ^ (0x9e3779b97f4a7c15ULL * (n + 1)));
  const uint64_t child = random.NextU64();
  return {child == 0 ? 1 : child};
}

TraceId NewTraceId() { return {NonZero(), NonZero()}; }
SpanId NewSpanId() { return {NonZero()}; }

TraceContext TraceContext::Read(const std::function<std::string_view(std::string_view lower_case_name)>& header) {
  if (auto context = ReadTraceparent(header("traceparent"))) {
    if (const std::string_view state = header("tracestate"); state.size() <= kMaxTraceStateBytes) context->state = state;
    return *std::move(context);
  }
  if (auto context = ReadSingleB3(header("b3"))) return *std::move(context);
  TraceContext context{.trace = {}, .parent = {}, .is_sampled = ReadB3Decision(header("x-b3-sampled")), .state = {}};
  const auto b3 = TraceId::Parse(header("x-b3-traceid"));
  const auto own = TraceId::Parse(header("x-trace-id"));
  if (!b3 && !own) return context;
  context.trace = b3 ? *b3 : *own;
  context.speaks_b3 = b3.has_value();
  context.parent = SpanId::Parse(header(b3 ? "x-b3-spanid" : "x-span-id")).value_or(SpanId{});
  return context;
}

std::string Traceparent(const TraceId& trace, const SpanId& span, bool is_sampled) {
  std::string text = "00-00000000000000000000000000000000-0000000000000000-00";
  WriteHex(trace.high, text.data() + 3);
  WriteHex(trace.low, text.data() + 19);
  WriteHex(span.value, text.data() + 36);
  if (is_sampled) text.back() = '1';
  return text;
}

std::string SingleB3(const TraceId& trace, const SpanId& span, bool is_sampled) {
  return trace.Hex() + "-" + span.Hex() + (is_sampled ? "-1" : "-0");
}

}  // namespace autoglm
