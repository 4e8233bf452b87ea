#include "slo/prom_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace autoglm::slo {
namespace {

using testing::HasSubstr;

std::string Answer(const std::string& series) {
  return R"({"status": "success", "data": {"resultType": "vector", "result": [)" + series + "]}}";
}
std::string Series(const std::string& labels, const std::string& value) {
  return R"({"metric": {)" + labels + R"(}, "value": [1800000000.1, ")" + value + R"("]})";
}

const std::string kId = R"("sloth_id": "api-availability-99-9")";

SloFile File() {
  return *ParseSloFile(R"({"slo": {"service": "api", "objective": "availability", "target": 99.9, "unit": "percent"}})", "f");
}

// What a Prometheus with our rules says, by what is asked.
Result<std::string> Ask(const std::string& query, const std::string& ratio, const std::string& bad, bool is_paging) {
  if (query.starts_with("ALERTS")) {
    return Answer(is_paging ? Series(kId + R"(, "sloth_severity": "page", "alertname": "x")", "1") : "");
  }
  const std::string period = kId + R"(, "sloth_window": "30d")";
  if (query.find("ratio_rate") != std::string::npos) return Answer(ratio.empty() ? "" : Series(period, ratio));
  if (query.find("sli_bad") != std::string::npos) return Answer(Series(period, bad));
  return Answer(Series(period, "100000.2"));
}

SloStatus StatusWith(const std::string& ratio, const std::string& bad, bool is_paging) {
  const Result<SloStatus> status =
      StatusFromPrometheus(File(), [&](const std::string& query) { return Ask(query, ratio, bad, is_paging); });
  EXPECT_TRUE(status) << status.error().message;
  return *status;
}

TEST(PromStatus, Recordings_BecomeBudgetsAndTheGate) {
  const SloStatus well = StatusWith("0.0005", "49.8", false);
  EXPECT_DOUBLE_EQ(well.objectives[0].budget_remaining, 0.5);
  EXPECT_EQ(well.objectives[0].counts, (EventCounts{100000, 50}));
  EXPECT_EQ(well.gate.state, GateStatus::State::kOpen);
  EXPECT_EQ(StatusWith("0.0005", "50", true).gate.state, GateStatus::State::kClosed);
  EXPECT_EQ(StatusWith("0.002", "200", false).gate.state, GateStatus::State::kClosed);
  EXPECT_EQ(StatusWith("0.3", "1", false).gate.state, GateStatus::State::kOpen) << "one bad request is no exhausted budget";
}

TEST(PromStatus, NoRecord_IsUnknownAndNotOpen) {
  for (const char* ratio : {"", "NaN"}) {
    const SloStatus status = StatusWith(ratio, "0", false);
    EXPECT_THAT(status.objectives[0].unknown, HasSubstr("no record"));
    EXPECT_EQ(status.gate.state, GateStatus::State::kUnknown);
  }
}

TEST(PromStatus, AnswersThatAreNone_AreErrors) {
  EXPECT_THAT(ParsePromAnswer(R"({"status": "error", "error": "parse error"})").error().message, HasSubstr("parse error"));
  for (const char* body : {"", "[]", "{}", R"({"status": "success"})", R"({"status": "success", "data": {}})",
                           R"({"status": "success", "data": {"result": [{}]}})"}) {
    EXPECT_FALSE(ParsePromAnswer(body)) << body;
  }
}

}  // namespace
}  // namespace autoglm::slo
