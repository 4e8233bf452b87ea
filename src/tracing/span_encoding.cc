#include "tracing/span_encoding.h"

#include <fmt/format.h>

#include <algorithm>

#include "json/json.h"
#include "tracing/otlp_common.h"

namespace autoglm {
namespace {

constexpr int kStatusError = 2;  // OTLP's Status.StatusCode

// --- OTLP, JSON

Json OtlpSpanJson(const Span& span) {
  Json attributes = Json::array();
  for (const auto& [key, value] : span.attributes) attributes.push_back(OtlpAttributeJson(key, value));
  Json json{{"traceId", span.trace.Hex()},
            {"spanId", span.id.Hex()},
            {"name", span.name},
            {"kind", static_cast<int>(span.kind)},
            {"startTimeUnixNano", std::to_string(span.begin_unix_ns)},
            {"endTimeUnixNano", std::to_string(span.end_unix_ns)},
            {"attributes", std::move(attributes)}};
  if (span.parent.is_set()) json["parentSpanId"] = span.parent.Hex();
  for (const SpanEvent& event : span.events) {
    json["events"].push_back({{"timeUnixNano", std::to_string(event.unix_ns)}, {"name", event.name}});
  }
  json["status"] = span.is_error ? Json{{"code", kStatusError}, {"message", span.message}} : Json::object();
  return json;
}

std::string OtlpJson(std::span<const Span> spans, const SpanSource& source) {
  Json list = Json::array();
  for (const Span& span : spans) list.push_back(OtlpSpanJson(span));
  const Json scope{{"scope", OtlpScopeJson(source)}, {"spans", std::move(list)}};
  const Json resource{{"resource", OtlpResourceJson(source)}, {"scopeSpans", Json::array({scope})}};
  return DumpJson({{"resourceSpans", Json::array({resource})}});
}

// --- OTLP, protobuf

void AppendBigEndian(std::string& out, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>((value >> shift) & 0xff);
}

std::string BytesOf(const TraceId& trace) {
  std::string bytes;
  AppendBigEndian(bytes, trace.high);
  AppendBigEndian(bytes, trace.low);
  return bytes;
}

std::string BytesOf(const SpanId& span) {
  std::string bytes;
  if (span.is_set()) AppendBigEndian(bytes, span.value);
  return bytes;
}

ProtobufWriter OtlpSpanMessage(const Span& span) {
  ProtobufWriter message;
  message.Bytes(1, BytesOf(span.trace));
  message.Bytes(2, BytesOf(span.id));
  message.Bytes(4, BytesOf(span.parent));
  message.Bytes(5, span.name);
  message.Varint(6, static_cast<uint64_t>(span.kind));
  message.Fixed64(7, static_cast<uint64_t>(span.begin_unix_ns));
  message.Fixed64(8, static_cast<uint64_t>(span.end_unix_ns));
  for (const auto& [key, value] : span.attributes) message.Message(9, OtlpAttributeMessage(key, value));
  for (const SpanEvent& event : span.events) {
    ProtobufWriter one;
    one.Fixed64(1, static_cast<uint64_t>(event.unix_ns));
    one.Bytes(2, event.name);
    message.Message(11, one);
  }
  if (span.is_error) {
    ProtobufWriter status;
    status.Bytes(2, span.message);
    status.Varint(3, kStatusError);
    message.Message(15, status);
  }
  return message;
}

std::string OtlpProtobuf(std::span<const Span> spans, const SpanSource& source) {
  ProtobufWriter scope;
  scope.Message(1, OtlpScopeMessage(source));
  for (const Span& span : spans) scope.Message(2, OtlpSpanMessage(span));
  ProtobufWriter resource;
  resource.Message(1, OtlpResourceMessage(source));
  resource.Message(2, scope);
  ProtobufWriter request;
  request.Message(1, resource);
  return request.Take();
}

// --- Zipkin

std::string TextOf(const AttributeValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* integer = std::get_if<int64_t>(&value)) return std::to_string(*integer);
  if (const auto* number = std::get_if<double>(&value)) return fmt::format("{}", *number);
  return std::get<bool>(value) ? "true" : "false";
}

Json ZipkinSpanJson(const Span& span, const SpanSource& source) {
  Json endpoint{{"serviceName", source.service_name}};
  if (source.port > 0) endpoint["port"] = source.port;
  Json json{{"traceId", span.trace.Hex()},
            {"id", span.id.Hex()},
            {"name", span.name},
            {"timestamp", span.begin_unix_ns / 1000},
            {"duration", std::max<int64_t>(1, (span.end_unix_ns - span.begin_unix_ns) / 1000)},
            {"localEndpoint", std::move(endpoint)}};
  if (span.parent.is_set()) json["parentId"] = span.parent.Hex();
  if (span.kind != SpanKind::kInternal) json["kind"] = span.kind == SpanKind::kServer ? "SERVER" : "CLIENT";
  Json tags = Json::object();
  for (const auto& [key, value] : span.attributes) {
    tags[key] = TextOf(value);
    if (key == "server.address") json["remoteEndpoint"] = {{"serviceName", TextOf(value)}};
  }
  if (span.is_error) tags["error"] = span.message.empty() ? "true" : span.message;
  if (!tags.empty()) json["tags"] = std::move(tags);
  for (const SpanEvent& event : span.events) {
    json["annotations"].push_back({{"timestamp", event.unix_ns / 1000}, {"value", event.name}});
  }
  return json;
}

std::string ZipkinJson(std::span<const Span> spans, const SpanSource& source) {
  Json list = Json::array();
  for (const Span& span : spans) list.push_back(ZipkinSpanJson(span, source));
  return DumpJson(list);
}

}  // namespace

std::string_view SpanPathOf(SpanFormat format) { return format == SpanFormat::kZipkinJson ? "/api/v2/spans" : "/v1/traces"; }

std::string_view ContentTypeOf(SpanFormat format) {
  return format == SpanFormat::kOtlpProtobuf ? "application/x-protobuf" : "application/json";
}

std::string EncodeSpans(std::span<const Span> spans, const SpanSource& source, SpanFormat format) {
  switch (format) {
    case SpanFormat::kOtlpJson:
      return OtlpJson(spans, source);
    case SpanFormat::kOtlpProtobuf:
      return OtlpProtobuf(spans, source);
    case SpanFormat::kZipkinJson:
      return ZipkinJson(spans, source);
  }
  return {};
}

}  // namespace autoglm
