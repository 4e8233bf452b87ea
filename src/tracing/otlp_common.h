#pragma once

#include <string_view>

#include "json/json.h"
#include "tracing/protobuf_writer.h"
#include "tracing/span.h"

namespace autoglm {

// What all OTLP signals say alike: attributes, and where they come from.
Json OtlpAttributeJson(std::string_view key, const AttributeValue& value);
Json OtlpResourceJson(const SpanSource& source);
Json OtlpScopeJson(const SpanSource& source);

ProtobufWriter OtlpAttributeMessage(std::string_view key, const AttributeValue& value);
ProtobufWriter OtlpResourceMessage(const SpanSource& source);
ProtobufWriter OtlpScopeMessage(const SpanSource& source);

}  // namespace autoglm
