#include "tracing/otlp_metrics.h"

#include <gtest/gtest.h>

#include "json/json.h"
#include "telemetry/metric_set.h"

namespace autoglm {
namespace {

const Json& Named(const Json& metrics, std::string_view name) {
  for (const Json& metric : metrics) {
    if (metric["name"] == name) return metric;
  }
  static const Json kNone;
  return kNone;
}

TEST(OtlpMetricsTest, GoByTheNamesOfTheConvention) {
  MetricSet set;
  set.AddLatency("autoglm_time_to_first_token_seconds", {{"model_name", "m"}, {"slo_class", "standard"}}, {0.1, 1}).Observe(0.5);
  set.Histograms("autoglm_request_prompt_tokens").Add({{"model_name", "m"}}, std::vector<double>{10, 100}).Observe(7);
  set.Histograms("autoglm_request_generation_tokens").Add({{"model_name", "m"}}, std::vector<double>{10, 100}).Observe(500);
  set.Counters("autoglm_num_preemptions_total").Add({{"model_name", "m"}}).Increment(3);
  set.Gauges("autoglm_num_requests_running").Add({{"model_name", "m"}}).Set(2);
  const std::string body = EncodeMetrics(set.Collect(), {.service_name = "svc"}, 1000, 2000, OtlpEncoding::kJson);
  const Json json = *ParseJson(body);
  const Json& metrics = json["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];

  const Json& first_token = Named(metrics, "gen_ai.server.time_to_first_token");
  EXPECT_EQ(first_token["unit"], "s");
  const Json& point = first_token["histogram"]["dataPoints"][0];
  EXPECT_EQ(point["count"], "1");
  EXPECT_EQ(point["explicitBounds"], Json({0.1, 1.0}));
  EXPECT_EQ(point["bucketCounts"], Json({"0", "1", "0"}));
  EXPECT_EQ(point["startTimeUnixNano"], "1000");
  EXPECT_EQ(point["attributes"][0]["key"], "gen_ai.request.model");

  EXPECT_EQ(Named(metrics, "gen_ai.client.token.usage")["histogram"]["dataPoints"].size(), 2U) << "input and output";
  EXPECT_EQ(Named(metrics, "autoglm_num_preemptions_total")["sum"]["isMonotonic"], true);
  EXPECT_EQ(Named(metrics, "autoglm_num_requests_running")["gauge"]["dataPoints"][0]["asDouble"], 2.0);
}

TEST(OtlpMetricsTest, Protobuf_HasTheSameParts) {
  MetricSet set;
  set.Gauges("autoglm_num_requests_running").Add({{"model_name", "m"}}).Set(2);
  const std::string body = EncodeMetrics(set.Collect(), {.service_name = "svc"}, 1000, 2000, OtlpEncoding::kProtobuf);
  EXPECT_EQ(body[0], '\x0a');
  EXPECT_NE(body.find("autoglm_num_requests_running"), std::string::npos);
}

}  // namespace
}  // namespace autoglm
