#include "slo/slo_file.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/test_paths.h"

namespace autoglm::slo {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;
using testing::HasSubstr;

Objective Only(const std::string& text) {
  const Result<SloFile> file = ParseSloFile(text, "slo.json");
  EXPECT_TRUE(file) << file.error().message;
  if (!file) return {};
  EXPECT_EQ(file->objectives.size(), 1u);
  return file->objectives.front();
}

// One objective whose fields are these, after service.
std::string With(const std::string& fields) { return fmt::format(R"({{"slo": {{"service": "s", {}}}}})", fields); }

std::string ErrorOf(const std::string& text) {
  const Result<SloFile> file = ParseSloFile(text, "slo.json");
  if (file) return "no error";
  EXPECT_EQ(file.error().code, ErrorCode::kInvalidArgument);
  return file.error().message;
}

TEST(SloFile, TheMissionsExample_IsAPercentileOfLatency) {
  const Objective objective =
      Only(R"({"slo": {"service": "user-api", "objective": "95th_percentile_latency", "target": 300, "unit": "milliseconds"}})");
  EXPECT_EQ(objective.service, "user-api");
  EXPECT_EQ(objective.indicator, Indicator::kLatency);
  EXPECT_EQ(objective.target, 0.95);
  EXPECT_EQ(objective.budget(), 0.05);
  EXPECT_EQ(objective.threshold_s, 0.3);
  EXPECT_EQ(objective.window, std::chrono::hours(720));
  EXPECT_EQ(objective.name, "latency-p95-300ms");
  EXPECT_EQ(objective.id(), "user-api-latency-p95-300ms");
}

TEST(SloFile, Percentiles_AreReadWithAnyEndingAndFraction) {
  const auto target_of = [](const std::string& name) {
    return Only(With(fmt::format(R"("objective": "{}", "target": 1, "unit": "s")", name))).target;
  };
  EXPECT_EQ(target_of("99.9th_percentile_latency"), 0.999);
  EXPECT_EQ(target_of("91st_percentile_latency"), 0.91);
  EXPECT_EQ(target_of("92nd_percentile_latency"), 0.92);
  EXPECT_EQ(target_of("93rd_percentile_first_screen"), 0.93);
  EXPECT_EQ(target_of("50th_percentile_time_to_first_token"), 0.5);
}

TEST(SloFile, EachKind_HasItsIndicator) {
  EXPECT_EQ(Only(With(R"("objective": "95th_percentile_first_screen", "target": 1.5, "unit": "seconds")")).indicator,
            Indicator::kFirstToken);
  const Objective percent = Only(With(R"("objective": "availability", "target": 99.9, "unit": "percent")"));
  EXPECT_EQ(percent.indicator, Indicator::kAvailability);
  EXPECT_EQ(percent.target, 0.999);
  EXPECT_EQ(percent.budget(), 0.001);
  EXPECT_EQ(Only(With(R"("objective": "availability", "target": 0.999, "unit": "ratio")")).target, 0.999);
  for (const char* name : {"background_job_duration", "95th_percentile_background_job"}) {
    const Objective job = Only(With(fmt::format(R"("objective": "{}", "target": 5, "unit": "minutes")", name)));
    EXPECT_EQ(job.indicator, Indicator::kLatency);
    EXPECT_EQ(job.threshold_s, 300);
    EXPECT_EQ(job.target, 0.95);
    EXPECT_EQ(job.selection.slo_class, "batch");
  }
}

TEST(SloFile, Units_HaveShortNames) {
  const auto threshold_of = [](const std::string& target) {
    return Only(With(R"("objective": "95th_percentile_latency", )" + target)).threshold_s;
  };
  EXPECT_EQ(threshold_of(R"("target": 250, "unit": "ms")"), 0.25);
  EXPECT_EQ(threshold_of(R"("target": 2, "unit": "s")"), 2);
  EXPECT_EQ(threshold_of(R"("target": 0.5, "unit": "m")"), 30);
}

TEST(SloFile, Mistakes_NameFileAndField) {
  const std::string latency = R"("objective": "95th_percentile_latency")";
  EXPECT_EQ(ErrorOf("{"), "slo.json: " + ErrorOf("{").substr(10));
  EXPECT_THAT(ErrorOf("{}"), HasSubstr("slo.json: one of \"slo\" and \"slos\" is required"));
  EXPECT_THAT(ErrorOf(R"({"slo": []})"), HasSubstr("slo must hold at least one objective"));
  EXPECT_THAT(ErrorOf(R"({"slo": 3})"), HasSubstr("slo must be an object or a list"));
  EXPECT_THAT(ErrorOf(R"({"slo": [{}]})"), HasSubstr("slo[0].service is required"));
  EXPECT_THAT(ErrorOf(With(R"("objective": "95th")")), HasSubstr("slo.objective must be <N>th_percentile_latency"));
  EXPECT_THAT(ErrorOf(With(R"("objective": "100th_percentile_latency")")), HasSubstr("slo.objective must name a percentile"));
  EXPECT_THAT(ErrorOf(With(R"("objective": "95th_percentile_speed")")), HasSubstr("not '95th_percentile_speed'"));
  EXPECT_THAT(ErrorOf(With(latency)), HasSubstr("slo.target is required"));
  EXPECT_THAT(ErrorOf(With(latency + R"(, "target": "300")")), HasSubstr("slo.target must be a number"));
  EXPECT_THAT(ErrorOf(With(latency + R"(, "target": 3)")), HasSubstr("slo.unit is required"));
  EXPECT_THAT(ErrorOf(With(latency + R"(, "target": 3, "unit": "hours")")), HasSubstr("slo.unit must be one of"));
  EXPECT_THAT(ErrorOf(With(latency + R"(, "target": 3, "unit": "percent")")), HasSubstr("slo.unit must be milliseconds"));
  EXPECT_THAT(ErrorOf(With(latency + R"(, "target": 0, "unit": "s")")), HasSubstr("slo.target must be a time"));
  EXPECT_THAT(ErrorOf(With(latency + R"(, "target": 3, "unit": "s", "windov": "3d")")),
              HasSubstr("slo.windov is an unknown field"));
  const std::string whole = latency + R"(, "target": 3, "unit": "s")";
  EXPECT_THAT(ErrorOf(With(whole + R"(, "window": "1h")")), HasSubstr("slo.window must be whole days"));
  EXPECT_THAT(ErrorOf(With(whole + R"(, "class": "fast")")), HasSubstr("slo.class must be one of interactive"));
  EXPECT_THAT(ErrorOf(With(whole + R"(, "name": "My SLO")")), HasSubstr("slo.name must be 1 to 63"));
  EXPECT_THAT(ErrorOf(With(whole + R"(, "min_events": 0)")), HasSubstr("slo.min_events must be 1 to"));
  EXPECT_THAT(ErrorOf(With(whole + R"(, "runbook_url": "runbook.md")")), HasSubstr("slo.runbook_url must begin with"));
  EXPECT_THAT(ErrorOf(With(whole + R"(, "good_query": "a")")), HasSubstr("slo.good_query is for the objective ratio"));
  EXPECT_THAT(ErrorOf(With(R"("objective": "availability", "target": 100, "unit": "percent")")),
              HasSubstr("nothing is always good"));
  EXPECT_THAT(ErrorOf(With(R"("objective": "availability", "target": 300, "unit": "ms")")),
              HasSubstr("must be percent or ratio"));
  EXPECT_THAT(ErrorOf(With(R"("objective": "background_job_duration", "target": 3, "unit": "s", "class": "standard")")),
              HasSubstr("slo.class must be 'batch'"));
}

TEST(SloFile, TwoOfOneName_AreRefused) {
  const std::string one = R"({"service": "s", "objective": "95th_percentile_latency", "target": 300, "unit": "ms"})";
  EXPECT_THAT(ErrorOf("{\"slos\": [" + one + "," + one + "]}"), HasSubstr("have the name 'latency-p95-300ms'"));
}

TEST(SloFile, Gate_IsReadAndChecked) {
  const std::string one = R"({"slo": {"service": "s", "objective": "availability", "target": 99, "unit": "percent"}, "gate": )";
  const SloFile file =
      *ParseSloFile(one + R"({"close_on_page": false, "least_budget": 0.1, "ignore": ["availability-99"]}})", "f");
  EXPECT_FALSE(file.gate.close_on_page);
  EXPECT_EQ(file.gate.least_budget, 0.1);
  EXPECT_THAT(file.gate.ignored, ElementsAre("availability-99"));
  EXPECT_THAT(ErrorOf(one + R"({"ignore": ["x"]}})"), HasSubstr("gate.ignore: there is no objective 'x'"));
  EXPECT_THAT(ErrorOf(one + R"({"least_budget": 1}})"), HasSubstr("gate.least_budget must be"));
  EXPECT_THAT(ErrorOf(one + R"({"on_page": true}})"), HasSubstr("gate.on_page is an unknown field"));
}

TEST(SloFile, Example_HasTheMissionsGoalsAndSurvivesWriting) {
  const Result<SloFile> file = LoadSloFile(SourceDir() / "deploy" / "slo.example.json");
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->objectives.size(), 4u);
  EXPECT_EQ(file->objectives[1].threshold_s, 1.5);
  EXPECT_EQ(file->objectives[2].target, 0.999);
  EXPECT_EQ(file->objectives[3].threshold_s, 300);
  EXPECT_EQ(*ParseSloFile(DumpJson(ToJson(*file)), "again"), *file);
}

TEST(SloFile, Boundaries_AreThoseOfTheIndicatorOnce) {
  const SloFile file = *LoadSloFile(SourceDir() / "deploy" / "slo.example.json");
  EXPECT_THAT(BucketBoundaries(file.objectives, Indicator::kLatency), ElementsAre(0.3, 300));
  EXPECT_THAT(BucketBoundaries(file.objectives, Indicator::kFirstToken), ElementsAre(1.5));
  EXPECT_THAT(WithBoundaries({0.1, 0.3, 1}, file.objectives, Indicator::kLatency), ElementsAre(0.1, 0.3, 1, 300));
}

TEST(Objective, Status_DecidesWhatCounts) {
  for (const int good : {200, 201, 204, 302}) EXPECT_EQ(OutcomeOfStatus(good, false), Outcome::kGood);
  for (const int bad : {408, 500, 502, 503, 504}) EXPECT_EQ(OutcomeOfStatus(bad, false), Outcome::kBad);
  for (const int left_out : {400, 401, 404, 422, 429, 499}) EXPECT_EQ(OutcomeOfStatus(left_out, false), Outcome::kLeftOut);
  EXPECT_EQ(OutcomeOfStatus(429, true), Outcome::kBad);
}

}  // namespace
}  // namespace autoglm::slo
