#include "slo/rules_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "slo/slo_file.h"
#include "support/test_paths.h"

namespace autoglm::slo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::vector<Objective> Read(const std::string& text) {
  const Result<SloFile> file = ParseSloFile(text, "f");
  EXPECT_TRUE(file) << file.error().message;
  return file->objectives;
}

std::vector<Objective> Example() { return LoadSloFile(SourceDir() / "deploy" / "slo.example.json")->objectives; }

TEST(RulesFile, EachObjective_HasThreeGroupsInSlothsNames) {
  const std::vector<Objective> objectives = Example();
  const YAML::Node groups = YAML::Load(WriteRules(objectives, {})->yaml)["groups"];
  ASSERT_EQ(groups.size(), objectives.size() * 3);
  EXPECT_EQ(groups[0]["name"].as<std::string>(), "sloth-slo-sli-recordings-" + objectives[0].id());
  EXPECT_EQ(groups[1]["name"].as<std::string>(), "sloth-slo-meta-recordings-" + objectives[0].id());
  EXPECT_EQ(groups[2]["name"].as<std::string>(), "sloth-slo-alerts-" + objectives[0].id());
  const YAML::Node first = groups[0]["rules"][0];
  EXPECT_EQ(first["record"].as<std::string>(), "slo:sli_error:ratio_rate5m");
  EXPECT_EQ(first["labels"]["sloth_window"].as<std::string>(), "5m");
  EXPECT_EQ(first["labels"]["sloth_id"].as<std::string>(), objectives[0].id());
  const YAML::Node alerts = groups[2]["rules"];
  ASSERT_EQ(alerts.size(), 3u);
  EXPECT_EQ(alerts[0]["labels"]["sloth_severity"].as<std::string>(), "page");
  EXPECT_EQ(alerts[1]["labels"]["sloth_severity"].as<std::string>(), "ticket");
  EXPECT_EQ(alerts[2]["alert"].as<std::string>(), "HighRequestLatency");
  EXPECT_EQ(alerts[2]["for"].as<std::string>(), "5m");
}

TEST(RulesFile, PeriodRecordings_BearTheObjectivesWindow) {
  const std::string yaml = WriteRules(Example(), {})->yaml;
  EXPECT_THAT(yaml, HasSubstr("slo:sli_error:ratio_rate28d"));
  EXPECT_THAT(yaml, HasSubstr("slo:sli_error:ratio_rate30d"));
}

TEST(RulesFile, Factors_AreFittedOrStandard) {
  const auto objectives = Read(R"({"slo": {"service": "s", "objective": "90th_percentile_latency", "target": 1, "unit": "s"}})");
  EXPECT_THAT(WriteRules(objectives, {})->yaml, HasSubstr("> (2 * 0.1)"));
  const std::string standard = WriteRules(objectives, {.factors = FactorChoice::kStandard})->yaml;
  EXPECT_THAT(standard, HasSubstr("> (14.4 * 0.1)"));
  EXPECT_THAT(standard, HasSubstr("can never fire"));
}

TEST(RulesFile, WhatMetricsCannotTell_IsLeftOutAndNamed) {
  const auto objectives = Read(R"({"slo": [
    {"service": "s", "objective": "90th_percentile_latency", "target": 1, "unit": "s", "tenant": "acme"},
    {"service": "s", "objective": "availability", "target": 99, "unit": "percent"}]})");
  const RulesFile rules = *WriteRules(objectives, {});
  EXPECT_THAT(rules.left_out, ElementsAre(HasSubstr("s-latency-p90-1000ms-acme: tenant: ")));
  EXPECT_EQ(YAML::Load(rules.yaml)["groups"].size(), 3u);
  EXPECT_EQ(WriteRules({objectives[0]}, {}).error().code, ErrorCode::kUnsupported);
}

TEST(RulesFile, TextOfPeople_IsNoTemplate) {
  const auto objectives = Read(R"({"slo": {"service": "s", "objective": "availability", "target": 99, "unit": "percent",
    "description": "{{ .Secret }}"}})");
  EXPECT_THAT(WriteRules(objectives, {})->yaml, Not(HasSubstr("\"{{ .Secret")));
}

TEST(RulesFile, AlertNames_AreCamelCase) {
  EXPECT_EQ(BurnAlertName({.service = "user-api", .name = "latency-p95"}), "UserApiLatencyP95Burn");
  EXPECT_EQ(BurnAlertName({.service = "3d", .name = "x"}), "Slo3dXBurn");
}

TEST(Alertmanager, Config_RoutesAndInhibits) {
  const YAML::Node config = YAML::Load(*WriteAlertmanagerConfig("http://127.0.0.1:9000/hook"));
  EXPECT_EQ(config["route"]["routes"].size(), 3u);
  EXPECT_EQ(config["inhibit_rules"][0]["equal"][0].as<std::string>(), "sloth_id");
  EXPECT_EQ(config["receivers"][0]["webhook_configs"][0]["url"].as<std::string>(), "http://127.0.0.1:9000/hook");
  EXPECT_FALSE(YAML::Load(*WriteAlertmanagerConfig(""))["receivers"][0]["webhook_configs"]);
  EXPECT_EQ(WriteAlertmanagerConfig("ftp://x").error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace autoglm::slo
