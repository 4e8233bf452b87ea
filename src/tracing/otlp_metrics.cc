#include "tracing/otlp_metrics.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "json/json.h"
#include "telemetry/metric_catalogue.h"
#include "tracing/otlp_common.h"

namespace autoglm {
namespace {

constexpr int kCumulative = 2;  // AggregationTemporality

using Attributes = std::vector<std::pair<std::string, AttributeValue>>;

// One series of a metric.
struct Point {
  Attributes attributes;
  double value = 0;
  // Of a histogram.
  uint64_t count = 0;
  double sum = 0;
  std::vector<double> bounds;
  std::vector<uint64_t> bucket_counts;  // one more than bounds
};

struct Metric {
  std::string name;
  std::string_view description;
  std::string_view unit;  // UCUM
  prometheus::MetricType type = prometheus::MetricType::Gauge;
  std::vector<Point> points;
};

std::string_view UnitOf(const MetricInfo& info) {
  if (info.unit == "seconds") return "s";
  if (info.unit == "bytes") return "By";
  if (info.unit == "tokens") return "{token}";
  if (info.unit == "requests") return "{request}";
  return "1";
}

std::string AttributeName(std::string_view label, bool is_gen_ai) {
  if (is_gen_ai && label == "model_name") return "gen_ai.request.model";
  return std::string(label);
}

void AddGenAiAttributes(const MetricInfo& info, Attributes& attributes) {
  attributes.emplace_back("gen_ai.provider.name", std::string("autoglm"));
  if (info.name == "autoglm_request_prompt_tokens") attributes.emplace_back("gen_ai.token.type", std::string("input"));
  if (info.name == "autoglm_request_generation_tokens") attributes.emplace_back("gen_ai.token.type", std::string("output"));
}

Point PointOf(const prometheus::MetricFamily& family, const prometheus::ClientMetric& series, const MetricInfo& info) {
  const bool is_gen_ai = !info.otel.empty();
  Point point;
  for (const auto& label : series.label) point.attributes.emplace_back(AttributeName(label.name, is_gen_ai), label.value);
  if (is_gen_ai) AddGenAiAttributes(info, point.attributes);
  if (family.type == prometheus::MetricType::Counter) point.value = series.counter.value;
  if (family.type == prometheus::MetricType::Gauge) point.value = series.gauge.value;
  if (family.type != prometheus::MetricType::Histogram) return point;
  point.count = series.histogram.sample_count;
  point.sum = series.histogram.sample_sum;
  uint64_t below = 0;
  for (const auto& bucket : series.histogram.bucket) {
    point.bucket_counts.push_back(bucket.cumulative_count - below);
    below = bucket.cumulative_count;
    if (!std::isinf(bucket.upper_bound)) point.bounds.push_back(bucket.upper_bound);
  }
  return point;
}

std::vector<Metric> MetricsOf(std::span<const prometheus::MetricFamily> families) {
  std::vector<Metric> metrics;
  for (const prometheus::MetricFamily& family : families) {
    if (family.metric.empty() || family.name.starts_with("vllm:")) continue;
    const MetricInfo& info = MetricNamed(family.name);
    Metric metric{.name = info.otel.empty() ? family.name : std::string(info.otel),
                  .description = info.help,
                  .unit = UnitOf(info),
                  .type = family.type,
                  .points = {}};
    for (const prometheus::ClientMetric& series : family.metric) metric.points.push_back(PointOf(family, series, info));
    // Two of ours may be one there, told apart by an attribute.
    if (!metrics.empty() && metrics.back().name == metric.name) {
      std::ranges::move(metric.points, std::back_inserter(metrics.back().points));
    } else {
      metrics.push_back(std::move(metric));
    }
  }
  return metrics;
}

// --- JSON

Json PointJson(const Point& point, prometheus::MetricType type, int64_t start_unix_ns, int64_t now_unix_ns) {
  Json attributes = Json::array();
  for (const auto& [key, value] : point.attributes) attributes.push_back(OtlpAttributeJson(key, value));
  Json json{{"attributes", std::move(attributes)}, {"timeUnixNano", std::to_string(now_unix_ns)}};
  if (type != prometheus::MetricType::Gauge) json["startTimeUnixNano"] = std::to_string(start_unix_ns);
  if (type != prometheus::MetricType::Histogram) {
    json["asDouble"] = point.value;
    return json;
  }
  json["count"] = std::to_string(point.count);
  json["sum"] = point.sum;
  json["explicitBounds"] = point.bounds;
  Json counts = Json::array();
  for (const uint64_t count : point.bucket_counts) counts.push_back(std::to_string(count));
  json["bucketCounts"] = std::move(counts);
  return json;
}

Json MetricJson(const Metric& metric, int64_t start_unix_ns, int64_t now_unix_ns) {
  Json points = Json::array();
  for (const Point& point : metric.points) points.push_back(PointJson(point, metric.type, start_unix_ns, now_unix_ns));
  Json data{{"dataPoints", std::move(points)}};
  Json json{{"name", metric.name}, {"description", metric.description}, {"unit", metric.unit}};
  if (metric.type == prometheus::MetricType::Gauge) {
    json["gauge"] = std::move(data);
    return json;
  }
  data["aggregationTemporality"] = kCumulative;
  if (metric.type == prometheus::MetricType::Counter) {
    data["isMonotonic"] = true;
    json["sum"] = std::move(data);
  } else {
    json["histogram"] = std::move(data);
  }
  return json;
}

// --- protobuf

ProtobufWriter PointMessage(const Point& point, prometheus::MetricType type, int64_t start_unix_ns, int64_t now_unix_ns) {
  const bool is_histogram = type == prometheus::MetricType::Histogram;
  ProtobufWriter message;
  if (type != prometheus::MetricType::Gauge) message.Fixed64(2, static_cast<uint64_t>(start_unix_ns));
  message.Fixed64(3, static_cast<uint64_t>(now_unix_ns));
  if (is_histogram) {
    message.Fixed64(4, point.count);
    message.PresentDouble(5, point.sum);
    std::string counts;
    for (const uint64_t count : point.bucket_counts) ProtobufWriter::AppendFixed64(counts, count);
    message.Bytes(6, counts);
    std::string bounds;
    for (const double bound : point.bounds) ProtobufWriter::AppendFixed64(bounds, ProtobufWriter::BitsOf(bound));
    message.Bytes(7, bounds);
  } else {
    message.PresentDouble(4, point.value);
  }
  for (const auto& [key, value] : point.attributes) message.Message(is_histogram ? 9 : 7, OtlpAttributeMessage(key, value));
  return message;
}

ProtobufWriter MetricMessage(const Metric& metric, int64_t start_unix_ns, int64_t now_unix_ns) {
  constexpr uint32_t kGauge = 5;
  constexpr uint32_t kSum = 7;
  constexpr uint32_t kHistogram = 9;
  ProtobufWriter data;
  for (const Point& point : metric.points) {
    data.Message(1, PointMessage(point, metric.type, start_unix_ns, now_unix_ns));
  }
  uint32_t field = kGauge;
  if (metric.type != prometheus::MetricType::Gauge) {
    data.Varint(2, kCumulative);
    field = kHistogram;
  }
  if (metric.type == prometheus::MetricType::Counter) {
    data.Varint(3, 1);  // monotonic
    field = kSum;
  }
  ProtobufWriter message;
  message.Bytes(1, metric.name);
  message.Bytes(2, metric.description);
  message.Bytes(3, metric.unit);
  message.Message(field, data);
  return message;
}

}  // namespace

std::string EncodeMetrics(std::span<const prometheus::MetricFamily> families, const SpanSource& source, int64_t start_unix_ns,
                          int64_t now_unix_ns, OtlpEncoding encoding) {
  const std::vector<Metric> metrics = MetricsOf(families);
  if (encoding == OtlpEncoding::kJson) {
    Json list = Json::array();
    for (const Metric& metric : metrics) list.push_back(MetricJson(metric, start_unix_ns, now_unix_ns));
    const Json scope{{"scope", OtlpScopeJson(source)}, {"metrics", std::move(list)}};
    const Json resource{{"resource", OtlpResourceJson(source)}, {"scopeMetrics", Json::array({scope})}};
    return DumpJson({{"resourceMetrics", Json::array({resource})}});
  }
  ProtobufWriter scope;
  scope.Message(1, OtlpScopeMessage(source));
  for (const Metric& metric : metrics) scope.Message(2, MetricMessage(metric, start_unix_ns, now_unix_ns));
  ProtobufWriter resource;
  resource.Message(1, OtlpResourceMessage(source));
  resource.Message(2, scope);
  ProtobufWriter request;
  request.Message(1, resource);
  return request.Take();
}

}  // namespace autoglm
