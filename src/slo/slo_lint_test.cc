#include "slo/slo_lint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "slo/slo_file.h"

namespace autoglm::slo {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<Objective> Read(const std::string& fields) {
  const Result<SloFile> file = ParseSloFile(R"({"slo": {"service": "s", )" + fields + "}}", "f");
  EXPECT_TRUE(file) << file.error().message;
  return file->objectives;
}

const std::string kP90 = R"("objective": "90th_percentile_latency", "target": 1, "unit": "s")";
const std::string kP95 = R"("objective": "95th_percentile_latency", "target": 300, "unit": "ms", "model": "a*")";
const std::string kThreeNines = R"("objective": "availability", "target": 99.9, "unit": "percent")";

std::vector<std::string> Errors(const LintReport& report) {
  std::vector<std::string> messages;
  for (const Finding& finding : report.findings) {
    if (finding.kind == FindingKind::kError) messages.push_back(finding.message);
  }
  return messages;
}

TEST(Lint, StandardFactorsOfLooseObjectives_CanNeverFire) {
  const LintReport report = Lint(Read(kP90), {.factors = FactorChoice::kStandard});
  EXPECT_TRUE(report.has_errors());
  EXPECT_THAT(Errors(report), ElementsAre(HasSubstr("the page of 14.4x over 1h can never fire")));
  EXPECT_FALSE(report.objectives[0].rules[0].detects_outage_s);
}

TEST(Lint, StandardFactorsOfThe95thPercentile_AreSlow) {
  const LintReport report = Lint(Read(kP95), {.factors = FactorChoice::kStandard});
  EXPECT_FALSE(report.has_errors());
  ASSERT_EQ(report.findings.size(), 2u);
  EXPECT_THAT(report.findings[0].message, HasSubstr("14.4x over 1h needs 43 min"));
  EXPECT_THAT(report.findings[1].message, HasSubstr("6x over 6h needs 108 min"));
}

TEST(Lint, FittedFactors_RaiseNothing) {
  for (const std::string& fields : {kP90, kP95, kThreeNines}) EXPECT_THAT(Lint(Read(fields), {}).findings, IsEmpty()) << fields;
  const std::vector<RuleTiming> rules = Lint(Read(kThreeNines), {}).objectives[0].rules;
  EXPECT_THAT(*rules[0].detects_outage_s, DoubleNear(51.84, 1e-6));
  EXPECT_FALSE(rules[0].detects_10x_s) << "10 is less than 14.4";
  EXPECT_THAT(*rules[1].detects_10x_s, DoubleNear(12960, 1e-6));
}

TEST(Lint, TooLittleTraffic_IsAWarningAndMovesTheTimes) {
  const LintReport little = Lint(Read(kThreeNines), {.requests_per_hour = 3});
  EXPECT_FALSE(little.has_errors());
  EXPECT_THAT(little.findings[0].message, HasSubstr("the page of 14.4x over 1h cannot fire at 3 requests an hour"));
  const LintReport some = Lint(Read(kThreeNines), {.requests_per_hour = 60});
  EXPECT_THAT(*some.objectives[0].rules[0].detects_outage_s, DoubleNear(300, 1e-6));
}

constexpr const char* kMetrics = R"(# TYPE autoglm_e2e_request_latency_seconds histogram
autoglm_e2e_request_latency_seconds_bucket{model_name="a1",slo_class="batch",le="0.25"} 1
autoglm_e2e_request_latency_seconds_bucket{model_name="a1",slo_class="batch",le="5.0e-1"} 2 # {trace_id="x"} 0.4
autoglm_e2e_request_latency_seconds_bucket{model_name="b",slo_class="batch",le="0.3"} 2
autoglm_e2e_request_latency_seconds_bucket{model_name="a1",slo_class="batch",le="+Inf"} 36
autoglm_e2e_request_latency_seconds_count{model_name="a1",slo_class="batch"} 36 1700000000000
autoglm_e2e_request_latency_seconds_count{model_name="b",slo_class="batch"} 99
process_start_time_seconds 1.7e+09
autoglm_http_requests_total{path="/v1/models",code="200"} 7
autoglm_http_requests_total{path="/v1/models",code="404"} 7
autoglm_http_requests_total{path="/health",code="200"} 7
rubbish
)";

TEST(Lint, AMissingBucket_IsAnErrorThatNamesItsNeighbours) {
  LintOptions options{.samples = ParseExposition(kMetrics), .now_unix_s = 1.7e9 + 7200};
  const LintReport report = Lint(Read(kP95), options);
  EXPECT_THAT(Errors(report), ElementsAre(HasSubstr("has no bucket le=\"0.3\" (the nearest: 0.25 and 0.5)")));
  EXPECT_EQ(report.objectives[0].requests_per_hour, 18);
  options.samples =
      ParseExposition(std::string(kMetrics) + "autoglm_e2e_request_latency_seconds_bucket{model_name=\"a1\",le=\"3e-01\"} 2\n");
  EXPECT_THAT(Errors(Lint(Read(kP95), options)), IsEmpty());
}

TEST(Lint, NoSeriesYet_IsAWarning) {
  const LintReport report = Lint(Read(kP90), {.samples = std::vector<Sample>()});
  EXPECT_FALSE(report.has_errors());
  EXPECT_THAT(report.findings[0].message, HasSubstr("no autoglm_e2e_request_latency_seconds_bucket for it yet"));
}

TEST(Exposition, CountsWhatAnObjectiveCounts) {
  const auto samples = ParseExposition(kMetrics);
  EXPECT_EQ(samples.size(), 10u);
  const ExposedObjective exposed = FindExposed(samples, Read(kThreeNines)[0], Source::kServer, 1.7e9 + 3600);
  EXPECT_EQ(exposed.requests_per_hour, 7);
}

TEST(Lint, Json_HasWhatTheTableHas) {
  const Json json = ToJson(Lint(Read(kP90), {.factors = FactorChoice::kStandard}));
  EXPECT_EQ(json["objectives"][0]["rules"].size(), 4u);
  EXPECT_TRUE(json["objectives"][0]["rules"][0]["detects_outage_seconds"].is_null());
  EXPECT_EQ(json["findings"][0]["kind"], "error");
}

}  // namespace
}  // namespace autoglm::slo
