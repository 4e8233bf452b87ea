#include "telemetry/metric_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace autoglm {
namespace {

using ::testing::ContainsRegex;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kLatency = "autoglm_e2e_request_latency_seconds";

TEST(MetricSetTest, PromisedTimes_AreBounds) {
  MetricSet set({.latency_bounds = {0.3, 1.5}});
  set.AddLatency(kLatency, {{"model_name", "m"}, {"slo_class", "standard"}}, {0.1, 1.5, 10}).Observe(0.2);
  const std::string text = set.Render(MetricFormat::kPrometheusText);
  for (const char* bound : {"0.1", "0.3", "1.5", "10", "+Inf"}) EXPECT_THAT(text, HasSubstr(std::string("le=\"") + bound + "\""));
}

TEST(MetricSetTest, OpenMetrics_HasTracesAndAnEnd) {
  MetricSet set;
  const TraceId trace{0x4bf92f3577b34da6, 0xa3ce929d0e0e4736};
  TracedHistogram& latency = set.AddLatency(kLatency, {{"model_name", "m"}}, {0.1, 1});
  latency.Observe(0.5, trace);
  latency.Observe(0.05);
  set.Counters("autoglm_prompt_tokens_total").Add({{"model_name", "m"}}).Increment(7);
  const std::string text = set.Render(MetricFormat::kOpenMetrics);
  EXPECT_THAT(text, ContainsRegex("latency_seconds_bucket\\{model_name=\"m\",le=\"1.0\"\\} 2 # "
                                  "\\{trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"\\} 0.5 [0-9.]+\n"));
  EXPECT_THAT(text, HasSubstr("latency_seconds_bucket{model_name=\"m\",le=\"0.1\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE autoglm_prompt_tokens counter\n"));
  EXPECT_THAT(text, HasSubstr("autoglm_prompt_tokens_total{model_name=\"m\"} 7\n"));
  EXPECT_THAT(text, EndsWith("# EOF\n"));
  EXPECT_THAT(set.Render(MetricFormat::kPrometheusText), Not(HasSubstr("trace_id")));
}

TEST(MetricSetTest, ObservationBeyondAllBounds_HasAnExemplarToo) {
  MetricSet set;
  TracedHistogram& latency = set.AddLatency(kLatency, {}, {0.1, 1});
  latency.Observe(5, {1, 2});
  ASSERT_EQ(latency.exemplars().size(), 3U);
  EXPECT_TRUE(latency.exemplars()[2]);
  EXPECT_THAT(set.Render(MetricFormat::kOpenMetrics), ContainsRegex("le=\"\\+Inf\"\\} 1 # "));
}

// Many series, each observed once while all of them are read again and again.
TEST(MetricSetTest, BucketWithAnExemplar_HasCountedIt) {
  MetricSet set;
  std::vector<TracedHistogram*> latencies;
  latencies.reserve(2000);
  for (int i = 0; i < 2000; ++i) latencies.push_back(&set.AddLatency(kLatency, {{"model_name", std::to_string(i)}}, {1}));
  std::atomic<bool> is_done = false;
  std::thread observer([&] {
    for (TracedHistogram* latency : latencies) {
      latency->Observe(0.5, {1, 2});
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    is_done = true;
  });
  int64_t num_wrong = 0;
  while (!is_done) num_wrong += set.Render(MetricFormat::kOpenMetrics).find("le=\"1.0\"} 0 #") != std::string::npos;
  observer.join();
  EXPECT_EQ(num_wrong, 0);
}

TEST(MetricSetTest, VllmNames_AreGivenWhereAskedFor) {
  const auto render = [](bool has_vllm_names) {
    MetricSet set({.has_vllm_names = has_vllm_names});
    set.AddLatency(kLatency, {{"model_name", "m"}}, {1}).Observe(0.5);
    set.Counters("autoglm_prompt_tokens_total").Add({{"model_name", "m"}}).Increment(7);
    return set.Render(MetricFormat::kPrometheusText);
  };
  EXPECT_THAT(render(false), Not(HasSubstr("vllm:")));
  EXPECT_THAT(render(true), HasSubstr("vllm:prompt_tokens_total{model_name=\"m\",engine=\"0\"} 7\n"));
  EXPECT_THAT(render(true), HasSubstr("vllm:e2e_request_latency_seconds_bucket{model_name=\"m\",engine=\"0\",le=\"1\"} 1\n"));
  EXPECT_THAT(render(true), HasSubstr("autoglm_prompt_tokens_total{model_name=\"m\"} 7\n"));
}

TEST(MetricSetTest, FormatFollowsTheAcceptHeader) {
  EXPECT_EQ(MetricFormatFor("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"), MetricFormat::kOpenMetrics);
  EXPECT_EQ(MetricFormatFor("text/plain"), MetricFormat::kPrometheusText);
  EXPECT_EQ(MetricFormatFor(""), MetricFormat::kPrometheusText);
}

}  // namespace
}  // namespace autoglm
