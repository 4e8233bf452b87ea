#include "discovery/metrics_text.h"

#include <gtest/gtest.h>

#include <string>

#include "base/random.h"

namespace autoglm::discovery {
namespace {

TEST(MetricsText, VllmsAreSummedOverItsModelsAndRanks) {
  const auto report = ReportFromMetrics(
      "# HELP vllm:num_requests_running Number of requests in model execution batches.\n"
      "# TYPE vllm:num_requests_running gauge\n"
      "vllm:num_requests_running{engine=\"0\",model_name=\"a\"} 3.0\n"
      "vllm:num_requests_running{engine=\"1\",model_name=\"a\"} 4.0\n"
      "vllm:num_requests_waiting{engine=\"0\",model_name=\"a\"} 2.0\n"
      "vllm:num_requests_waiting_by_reason{engine=\"0\",reason=\"capacity\"} 2.0\n"
      "vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"a\"} 0.25\n"
      "vllm:kv_cache_usage_perc{engine=\"1\",model_name=\"a\"} 0.75\n");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->num_running, 7);
  EXPECT_EQ(report->num_waiting, 2);
  EXPECT_EQ(report->kv_usage, 0.5);
}

TEST(MetricsText, EveryKindOfServerIsUnderstood) {
  for (const char* text : {
           "vllm:num_requests_running 5\nvllm:num_requests_waiting 6\nvllm:gpu_cache_usage_perc 0.5\n",
           "sglang:num_running_reqs{tp_rank=\"0\"} 5\nsglang:num_queue_reqs{tp_rank=\"0\"} 6\nsglang:token_usage 0.5\n",
           "llamacpp:requests_processing 5\nllamacpp:requests_deferred 6\nllamacpp:kv_cache_usage_ratio 0.5\n",
           "autoglm_num_requests_running{model_name=\"m\"} 5\nautoglm_num_requests_waiting{model_name=\"m\"} 6\n"
           "autoglm_kv_cache_usage_perc{model_name=\"m\"} 0.5\n",
       }) {
    const auto report = ReportFromMetrics(text);
    ASSERT_TRUE(report) << text;
    EXPECT_EQ(report->num_running, 5) << text;
    EXPECT_EQ(report->num_waiting, 6) << text;
    EXPECT_EQ(report->kv_usage, 0.5) << text;
  }
}

TEST(MetricsText, OfOtherServersNothingIsKnown) {
  EXPECT_FALSE(ReportFromMetrics(""));
  EXPECT_FALSE(ReportFromMetrics("<html><body>404</body></html>"));
  EXPECT_FALSE(ReportFromMetrics("# vllm:num_requests_running 5\nprocess_cpu_seconds_total 5\n"));
}

TEST(MetricsText, LinesMayLookAsTheFormatAllows) {
  const auto value = [](std::string_view line) { return ParseMetricLine(line).value_or(MetricSample{.value = -1}).value; };
  EXPECT_EQ(value("a 1"), 1);
  EXPECT_EQ(value("\t a{} 1e2"), 100);
  EXPECT_EQ(value("a { b = \"c\" } 2.5 1700000000000"), 2.5);
  EXPECT_EQ(value("a{b=\"}\",c=\"\\\"} 7\",} 3"), 3) << "braces and quotes within values";
  EXPECT_EQ(value("a 4\r"), 4);
  EXPECT_EQ(ParseMetricLine("a_b:c{d=\"e\"} 1")->name, "a_b:c");
}

TEST(MetricsText, WhatIsNoSampleIsPassedOver) {
  for (const char* line : {"", " ", "#", "# a 1", "a", "a b", "a{", "a{b=\"c} 1", "a{b=\"c\\", "{} 1", "a 1x", "a --1"}) {
    EXPECT_FALSE(ParseMetricLine(line)) << line;
  }
  const auto report = ReportFromMetrics(
      "vllm:num_requests_running{a=\"\n"
      "vllm:num_requests_running NaN\n"
      "vllm:num_requests_running +Inf\n"
      "vllm:num_requests_running -3\n"
      "vllm:num_requests_waiting 1e300\n"
      "vllm:num_requests_waiting 1e300\n"
      "vllm:kv_cache_usage_perc 17\n"
      "vllm:num_requests_running 2");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->num_running, 2);
  EXPECT_EQ(report->num_waiting, 1'000'000'000);
  EXPECT_EQ(report->kv_usage, 1);
}

TEST(MetricsText, AnyBytesAreRead) {
  Random random(7);
  std::string text;
  for (int round = 0; round < 2000; ++round) {
    text = "vllm:num_requests_running{a=\"b\"} 1\n";
    for (int i = 0; i < 6; ++i) text[random.NextBelow(text.size())] = static_cast<char>(random.NextU64());
    const auto report = ReportFromMetrics(text);
    EXPECT_TRUE(!report || report->num_running >= 0);
  }
}

}  // namespace
}  // namespace autoglm::discovery
