#include "tracing/span_encoding.h"

#include <gtest/gtest.h>

#include <string>

#include "json/json.h"

namespace autoglm {
namespace {

Span Sample() {
  return {.trace = {0x4bf92f3577b34da6, 0xa3ce929d0e0e4736},
          .id = {0xf067aa0ba902b7},
          .parent = {0x1},
          .name = "chat smol",
          .kind = SpanKind::kServer,
          .begin_unix_ns = 1'544'712'660'000'001'500,
          .end_unix_ns = 1'544'712'661'000'001'500,
          .attributes = {{"text", std::string("a\"b")}, {"count", int64_t{7}}, {"share", 0.25}, {"flag", true}},
          .events = {{"first_token", 1'544'712'660'500'000'000}},
          .is_error = true,
          .message = "answered 503"};
}

Json Encoded(SpanFormat format) {
  const Span spans[] = {Sample()};
  return *ParseJson(EncodeSpans(spans, {.service_name = "svc", .service_version = "1", .instance = "i", .port = 80}, format));
}

TEST(SpanEncodingTest, OtlpJson) {
  const Json json = Encoded(SpanFormat::kOtlpJson);
  const Json& resource = json["resourceSpans"][0];
  EXPECT_EQ(resource["resource"]["attributes"][0]["value"]["stringValue"], "svc");
  const Json& span = resource["scopeSpans"][0]["spans"][0];
  EXPECT_EQ(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(span["spanId"], "00f067aa0ba902b7");
  EXPECT_EQ(span["parentSpanId"], "0000000000000001");
  EXPECT_EQ(span["kind"], 2);
  EXPECT_EQ(span["startTimeUnixNano"], "1544712660000001500");
  EXPECT_EQ(span["attributes"][1]["value"]["intValue"], "7");
  EXPECT_EQ(span["attributes"][2]["value"]["doubleValue"], 0.25);
  EXPECT_EQ(span["attributes"][3]["value"]["boolValue"], true);
  EXPECT_EQ(span["events"][0]["name"], "first_token");
  EXPECT_EQ(span["status"]["code"], 2);
}

TEST(SpanEncodingTest, Zipkin) {
  const Json json = Encoded(SpanFormat::kZipkinJson);
  const Json& span = json[0];
  EXPECT_EQ(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(span["parentId"], "0000000000000001");
  EXPECT_EQ(span["kind"], "SERVER");
  EXPECT_EQ(span["timestamp"], 1'544'712'660'000'001);
  EXPECT_EQ(span["duration"], 1'000'000);
  EXPECT_EQ(span["tags"]["count"], "7");
  EXPECT_EQ(span["tags"]["error"], "answered 503");
  EXPECT_EQ(span["annotations"][0]["value"], "first_token");
  EXPECT_EQ(span["localEndpoint"]["serviceName"], "svc");
}

TEST(SpanEncodingTest, ZipkinSpans_LastAMicrosecondAtLeast) {
  Span span = Sample();
  span.kind = SpanKind::kInternal;
  span.end_unix_ns = span.begin_unix_ns;
  const Json json = *ParseJson(EncodeSpans(std::span(&span, 1), {}, SpanFormat::kZipkinJson));
  EXPECT_EQ(json[0]["duration"], 1);
  EXPECT_FALSE(json[0].contains("kind"));
}

// The bytes are read by OpenTelemetry's own classes in tests/e2e; here only that the parts are where they belong.
TEST(SpanEncodingTest, OtlpProtobuf) {
  const Span spans[] = {Sample()};
  const std::string bytes = EncodeSpans(spans, {.service_name = "svc"}, SpanFormat::kOtlpProtobuf);
  EXPECT_EQ(bytes[0], '\x0a');  // resource_spans, a message
  EXPECT_NE(bytes.find("chat smol"), std::string::npos);
  EXPECT_NE(bytes.find(std::string("\x0a\x10\x4b\xf9\x2f\x35", 6)), std::string::npos);  // trace_id, 16 bytes
}

}  // namespace
}  // namespace autoglm
