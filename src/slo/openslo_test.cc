#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "slo/openslo_reader.h"
#include "slo/openslo_writer.h"
#include "support/test_paths.h"

namespace autoglm::slo {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

SloFile Read(const std::string& text) {
  Result<SloFile> file = ParseSloFile(text, "f");
  EXPECT_TRUE(file) << file.error().message;
  return file ? *std::move(file) : SloFile();
}

std::string ErrorOf(const std::string& text) {
  const Result<SloFile> file = ParseSloFile(text, "slo.yaml");
  return file ? "no error" : file.error().message;
}

// An SLO of somebody else, whose indicator has these queries.
std::string Foreign(const std::string& good, const std::string& total, const std::string& target = "target: 0.99") {
  return R"(apiVersion: openslo/v1
kind: SLO
metadata:
  name: Foo_SLO
  displayName: Foo
  annotations: {openslo.com/key: value}
spec:
  description: Foo answers.
  service: TheServiceName
  indicator:
    metadata: {name: foo-error}
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {type: Prometheus, metricSourceRef: prom, spec: {query: ')" +
         good + R"('}}}
        total: {metricSource: {type: Prometheus, spec: {query: ')" +
         total + R"('}}}
  timeWindow: [{duration: 4w, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{displayName: ok, )" +
         target + "}]\n";
}

TEST(OpenSlo, Example_SurvivesTheWayThereAndBack) {
  const SloFile file = *LoadSloFile(SourceDir() / "deploy" / "slo.example.json");
  for (const Source source : {Source::kServer, Source::kGateway}) EXPECT_EQ(Read(WriteOpenSlo(file, source)), file);
}

TEST(OpenSlo, EveryField_SurvivesTheWayThereAndBack) {
  const SloFile file = Read(R"json({"slos": [
    {"service": "s", "name": "n", "objective": "99.9th_percentile_latency", "target": 2500, "unit": "ms", "window": "7d",
     "model": "chat-*", "class": "custom", "route": "r", "path": "/v1/{x}?y=\"z\" and more than thirty one bytes of it",
     "tenant": "Ünïcode & co.", "description": "Two: \"words\" # and a hash", "runbook_url": "https://r.example/a?b=c#d",
     "owner": "o", "team": "yes", "min_events": 12, "count_429": true},
    {"service": "s", "objective": "ratio", "target": 0.98, "unit": "ratio", "bad_query": "sum(rate(b[{{.window}}]))",
     "total_query": "sum(rate(t[{{.window}}]))"},
    {"service": "t", "objective": "background_job_duration", "target": 5, "unit": "minutes"}],
    "gate": {"close_on_ticket": true, "least_budget": 0.05, "ignore": ["n", "t-latency-p95-300s-batch"]}})json");
  EXPECT_EQ(Read(WriteOpenSlo(file, Source::kServer)), file);
}

TEST(OpenSlo, Written_IsWhatTheStandardAsksFor) {
  const SloFile file = *LoadSloFile(SourceDir() / "deploy" / "slo.example.json");
  const std::string yaml = WriteOpenSlo(file, Source::kServer);
  EXPECT_THAT(
      yaml, AllOf(StartsWith("---\napiVersion: openslo/v1\nkind: Service\n"), HasSubstr("duration: 28d"), Not(HasSubstr("op:"))));
  EXPECT_THAT(yaml, HasSubstr("autoglm_e2e_request_latency_seconds_bucket{slo_class=\\\"interactive\\\",le=\\\"0.3\\\"}"));
  EXPECT_THAT(yaml, HasSubstr("le=~\\\"300|300[.]0\\\""));
  EXPECT_THAT(yaml, HasSubstr("target: 0.999\n"));
}

TEST(OpenSlo, OwnMetricsOfSomebodyElsesFile_BecomeOurObjective) {
  const Objective latency = Read(Foreign("autoglm_e2e_request_latency_seconds_bucket{le=\"0.3\", model_name=\"llama\"}",
                                         "autoglm_e2e_request_latency_seconds_count{model_name=\"llama\"}"))
                                .objectives.front();
  EXPECT_EQ(latency.indicator, Indicator::kLatency);
  EXPECT_EQ(latency.threshold_s, 0.3);
  EXPECT_EQ(latency.target, 0.99);
  EXPECT_EQ(latency.selection.model, "llama");
  EXPECT_EQ(latency.service, "theservicename");
  EXPECT_EQ(latency.name, "foo-slo");
  EXPECT_EQ(latency.window_days(), 28);
  EXPECT_EQ(latency.description, "Foo answers.");

  const Objective availability = Read(Foreign("autoglm_gw_http_requests_total{route=\"a\",code=~\"[123]..\"}",
                                              "autoglm_gw_http_requests_total{route=\"a\",code=~\"[1235]..|408|429\"}"))
                                     .objectives.front();
  EXPECT_EQ(availability.indicator, Indicator::kAvailability);
  EXPECT_TRUE(availability.count_429);
  EXPECT_EQ(availability.selection.route, "a");
}

TEST(OpenSlo, OtherQueries_AreKeptAsTheyAre) {
  const Objective other =
      Read(Foreign("sum(http_requests_total{code!~\"5..\"})", "sum(http_requests_total)", "targetPercent: 99.5"))
          .objectives.front();
  EXPECT_EQ(other.indicator, Indicator::kRawRatio);
  EXPECT_EQ(other.queries.good, "sum(http_requests_total{code!~\"5..\"})");
  EXPECT_EQ(other.target, 0.995);
  // Nearly ours: the two queries are about different models.
  const Objective mixed = Read(Foreign("autoglm_e2e_request_latency_seconds_bucket{le=\"0.3\", model_name=\"a\"}",
                                       "autoglm_e2e_request_latency_seconds_count{model_name=\"b\"}"))
                              .objectives.front();
  EXPECT_EQ(mixed.indicator, Indicator::kRawRatio);
}

TEST(OpenSlo, IndicatorRef_IsFoundInAnyDocument) {
  const std::string slo = R"(apiVersion: openslo/v1
kind: SLO
metadata: {name: a}
spec:
  service: s
  indicatorRef: good-calls
  budgetingMethod: Occurrences
  objectives: [{target: 0.9}, {target: 0.99}]
)";
  const std::string sli = R"(---
apiVersion: openslo/v1
kind: SLI
metadata: {name: good-calls}
spec: {ratioMetric: {counter: true, bad: {metricSource: {spec: {query: bad_total}}}, total: {metricSource: {spec: {query: all_total}}}}}
---
apiVersion: openslo/v1
kind: DataSource
metadata: {name: prom}
spec: {type: Prometheus}
)";
  const SloFile file = Read(slo + sli);
  ASSERT_EQ(file.objectives.size(), 2u);
  EXPECT_EQ(file.objectives[0].name, "a-1");
  EXPECT_EQ(file.objectives[1].target, 0.99);
  EXPECT_EQ(file.objectives[1].queries.bad, "bad_total");
  EXPECT_THAT(ErrorOf(slo), HasSubstr("slo.yaml:6: indicatorRef: there is no SLI 'good-calls'"));
}

TEST(OpenSlo, WhatCannotBeCounted_IsRefusedWithItsLine) {
  const std::string good = Foreign("a", "b");
  const auto changed = [&good](const std::string& from, const std::string& to) {
    std::string text = good;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return ErrorOf(text.replace(at, from.size(), to));
  };
  EXPECT_EQ(ErrorOf(good), "no error");
  EXPECT_THAT(changed("openslo/v1", "openslo/v2"), HasSubstr("slo.yaml:1: apiVersion: must be openslo/v1"));
  EXPECT_THAT(changed("kind: SLO", "kind: SLOO"), HasSubstr("slo.yaml:2: kind: must be one of"));
  EXPECT_THAT(changed("Occurrences", "Timeslices"), HasSubstr("only Occurrences"));
  EXPECT_THAT(changed("isRolling: true", "isRolling: false"), HasSubstr("only rolling windows"));
  EXPECT_THAT(changed("duration: 4w", "duration: 1Y"), HasSubstr("duration: must be whole days"));
  EXPECT_THAT(changed("ratioMetric", "thresholdMetric"), HasSubstr("only a ratioMetric"));
  EXPECT_THAT(changed("type: Prometheus", "type: Datadog"), HasSubstr("only Prometheus"));
  EXPECT_THAT(changed("target: 0.99", "target: 1"), HasSubstr("target: must be a number"));
  EXPECT_THAT(changed("target: 0.99", "goal: 0.99"), HasSubstr("one of 'target' and 'targetPercent'"));
  EXPECT_THAT(changed("good:", "fine:"), HasSubstr("one of 'good' and 'bad'"));
  EXPECT_THAT(ErrorOf("hello"), HasSubstr("slo.yaml:1: "));
  EXPECT_THAT(ErrorOf(""), HasSubstr("slo.yaml:1: holds no objective"));
  EXPECT_THAT(ErrorOf(good + "---\nkind: [\n"), HasSubstr("slo.yaml:2"));
}

TEST(OpenSlo, ATargetThatWasEditedInOnePlace_IsNoticed) {
  const SloFile file = Read(R"({"slo": {"service": "s", "objective": "95th_percentile_latency", "target": 300, "unit": "ms"}})");
  std::string yaml = WriteOpenSlo(file, Source::kServer);
  const size_t at = yaml.find("target: 0.95");
  ASSERT_NE(at, std::string::npos);
  yaml.replace(at, 12, "target: 0.99");
  EXPECT_THAT(ErrorOf(yaml), HasSubstr("the annotations say a target of 0.95, the spec 0.99"));
}

}  // namespace
}  // namespace autoglm::slo
