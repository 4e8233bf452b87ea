#include "cli/slo_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "cli/text_format.h"

namespace autoglm {
namespace {

using slo::Severity;
using Row = std::vector<std::string>;

std::string Percent(double share) { return fmt::format("{:.6g} %", share * 100); }

std::string FormatAlerts(const slo::ObjectiveStatus& status) {
  std::string text;
  for (const Severity severity : {Severity::kPage, Severity::kTicket}) {
    if (status.IsFiring(severity)) text += (text.empty() ? "" : ", ") + std::string(SeverityName(severity));
  }
  return text.empty() ? "none" : text;
}

std::string FormatBurnRate(const slo::ObjectiveStatus& status, std::string_view window) {
  const auto found = std::ranges::find(status.windows, window, &slo::WindowStatus::window);
  return found == status.windows.end() ? "-" : fmt::format("{:.2f}", found->burn_rate);
}

std::string FormatDetection(std::optional<double> seconds) { return seconds ? FormatSeconds(*seconds) : "never"; }

}  // namespace

std::string FormatSloStatus(const slo::SloStatus& status) {
  std::vector<Row> rows = {{"OBJECTIVE", "TARGET", "WINDOW", "BAD / ALL", "BUDGET LEFT", "BURN 1H", "BURN 6H", "ALERTS"}};
  for (const slo::ObjectiveStatus& of : status.objectives) {
    Row row = {of.objective.id(), Percent(of.objective.target), fmt::format("{}d", of.objective.window_days())};
    if (of.unknown.empty()) {
      const Row known = {fmt::format("{} / {}", of.counts.bad, of.counts.total),
                         fmt::format("{:.1f} %", of.budget_remaining * 100), FormatBurnRate(of, "1h"), FormatBurnRate(of, "6h"),
                         FormatAlerts(of)};
      row.insert(row.end(), known.begin(), known.end());
    } else {
      row.insert(row.end(), {"-", "-", "-", "-", "unknown: " + of.unknown});
    }
    rows.push_back(std::move(row));
  }
  return StripControlCharacters(
      fmt::format("{}\ngate {}: {}\n", FormatColumns(rows), GateStateName(status.gate.state), status.gate.reason));
}

std::string FormatSloLint(const slo::LintReport& report) {
  std::string text;
  for (const slo::ObjectiveLint& lint : report.objectives) {
    text +=
        fmt::format("{}: {} in {} days{}\n", lint.objective.id(), Percent(lint.objective.target), lint.objective.window_days(),
                    lint.requests_per_hour ? fmt::format(", {:.3g} requests an hour", *lint.requests_per_hour) : "");
    std::vector<Row> rows = {
        {"  RULE", "WINDOWS", "FACTOR", "FIRES ABOVE", "TOTAL OUTAGE", "BUDGET SPENT", "10X BURN", "RESETS WITHIN"}};
    for (const slo::RuleTiming& timing : lint.rules) {
      rows.push_back({fmt::format("  {}", SeverityName(timing.rule.severity)),
                      fmt::format("{}, {}", slo::WindowText(timing.rule.long_window), slo::WindowText(timing.rule.short_window)),
                      slo::NumberText(timing.rule.factor), Percent(timing.error_ratio), FormatDetection(timing.detects_outage_s),
                      timing.detects_outage_s ? fmt::format("{:.2f} %", timing.budget_spent * 100) : "-",
                      FormatDetection(timing.detects_10x_s), FormatSeconds(timing.resets_outage_s)});
    }
    text += FormatColumns(rows) + "\n";
  }
  for (const slo::Finding& finding : report.findings) {
    text += fmt::format("{}: {}: {}\n", finding.kind == slo::FindingKind::kError ? "error" : "warning", finding.objective,
                        finding.message);
  }
  if (report.findings.empty()) text += "nothing to complain about\n";
  return StripControlCharacters(text);
}

}  // namespace autoglm
