#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text_file.h"
#include "slo/slo_file.h"
#include "slo/slo_lint.h"
#include "support/test_paths.h"

namespace autoglm::slo {
namespace {

using testing::HasSubstr;

std::string Minutes(std::optional<double> seconds) { return seconds ? fmt::format("{:.1f}", *seconds / 60) : "never"; }

// The soonest of the rules of a severity.
std::optional<double> Soonest(const std::vector<RuleTiming>& rules, Severity severity, std::optional<double> RuleTiming::* time) {
  std::optional<double> soonest;
  for (const RuleTiming& timing : rules) {
    const std::optional<double>& found = timing.*time;
    if (timing.rule.severity == severity && found && (!soonest || *found < *soonest)) soonest = found;
  }
  return soonest;
}

// A row of the table in docs/slo.md, in minutes.
std::string Row(double percent) {
  const Objective objective{
      .service = "s", .name = "n", .indicator = Indicator::kAvailability, .target = RoundDecimal(percent / 100)};
  const auto fitted = Lint({objective}, {}).objectives[0].rules;
  const auto standard = Lint({objective}, {.factors = FactorChoice::kStandard}).objectives[0].rules;
  std::string factors;
  double reset_s = 0;
  for (const RuleTiming& timing : fitted) {
    factors += (factors.empty() ? "" : ", ") + NumberText(timing.rule.factor);
    if (timing.rule.severity == Severity::kPage) reset_s = std::max(reset_s, timing.resets_outage_s);
  }
  return fmt::format("| {} % | {} | {} | {} | {} | {} | {} |", NumberText(percent), factors,
                     Minutes(standard[0].detects_outage_s),
                     Minutes(Soonest(fitted, Severity::kPage, &RuleTiming::detects_outage_s)),
                     Minutes(Soonest(fitted, Severity::kPage, &RuleTiming::detects_10x_s)),
                     Minutes(Soonest(fitted, Severity::kTicket, &RuleTiming::detects_outage_s)), Minutes(reset_s));
}

TEST(Documentation, TableOfTypicalObjectives_IsWhatLintReckons) {
  const std::string text = *ReadTextFile(SourceDir() / "docs" / "slo.md");
  for (const double percent : {50.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 99.99}) EXPECT_THAT(text, HasSubstr(Row(percent)));
}

TEST(Documentation, EveryFieldOfSloJson_IsExplained) {
  const std::string text = *ReadTextFile(SourceDir() / "docs" / "slo.md");
  // The message that refuses an unknown field lists those that are known.
  for (const char* file :
       {R"({"slo": {"x": 1}})", R"({"slo": {"service": "s", "objective": "availability", "target": 9, "unit": "percent"},
                              "gate": {"x": 1}})"}) {
    std::string message = ParseSloFile(file, "f").error().message;
    message = message.substr(message.find("known are ") + 10);
    for (size_t at = 0; at < message.size();) {
      const size_t end = std::min(message.find(", ", at), message.size());
      EXPECT_THAT(text, HasSubstr("| `" + message.substr(at, end - at) + "` |"));
      at = end + 2;
    }
  }
}

}  // namespace
}  // namespace autoglm::slo
