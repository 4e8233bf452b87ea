#include "tracing/otlp_common.h"

#include <string>
#include <utility>
#include <vector>

namespace autoglm {
namespace {

constexpr std::string_view kScopeName = "autoglm";

std::vector<std::pair<std::string_view, AttributeValue>> ResourceAttributes(const SpanSource& source) {
  std::vector<std::pair<std::string_view, AttributeValue>> attributes = {{"service.name", source.service_name}};
  if (!source.service_version.empty()) attributes.emplace_back("service.version", source.service_version);
  if (!source.instance.empty()) attributes.emplace_back("service.instance.id", source.instance);
  return attributes;
}

}  // namespace

Json OtlpAttributeJson(std::string_view key, const AttributeValue& value) {
  Json json;
  if (const auto* text = std::get_if<std::string>(&value)) {
    json["stringValue"] = *text;
  } else if (const auto* integer = std::get_if<int64_t>(&value)) {
    json["intValue"] = std::to_string(*integer);
  } else if (const auto* number = std::get_if<double>(&value)) {
    json["doubleValue"] = *number;
  } else {
    json["boolValue"] = std::get<bool>(value);
  }
  return {{"key", key}, {"value", std::move(json)}};
}

Json OtlpResourceJson(const SpanSource& source) {
  Json attributes = Json::array();
  for (const auto& [key, value] : ResourceAttributes(source)) attributes.push_back(OtlpAttributeJson(key, value));
  return {{"attributes", std::move(attributes)}};
}

Json OtlpScopeJson(const SpanSource& source) { return {{"name", kScopeName}, {"version", source.service_version}}; }

ProtobufWriter OtlpAttributeMessage(std::string_view key, const AttributeValue& value) {
  ProtobufWriter any;
  if (const auto* text = std::get_if<std::string>(&value)) {
    any.PresentBytes(1, *text);
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    any.PresentVarint(2, *flag ? 1 : 0);
  } else if (const auto* integer = std::get_if<int64_t>(&value)) {
    any.PresentVarint(3, static_cast<uint64_t>(*integer));
  } else {
    any.PresentDouble(4, std::get<double>(value));
  }
  ProtobufWriter attribute;
  attribute.Bytes(1, key);
  attribute.Message(2, any);
  return attribute;
}

ProtobufWriter OtlpResourceMessage(const SpanSource& source) {
  ProtobufWriter resource;
  for (const auto& [key, value] : ResourceAttributes(source)) resource.Message(1, OtlpAttributeMessage(key, value));
  return resource;
}

ProtobufWriter OtlpScopeMessage(const SpanSource& source) {
  ProtobufWriter scope;
  scope.Bytes(1, kScopeName);
  scope.Bytes(2, source.service_version);
  return scope;
}

}  // namespace autoglm
