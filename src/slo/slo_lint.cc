#include "slo/slo_lint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace autoglm::slo {
namespace {

constexpr double kSlowShare = 0.25;  // of the long window, beyond which noticing a total outage is slow
constexpr double kTolerance = 1e-9;  // between boundaries, in proportion

double Seconds(std::chrono::minutes window) { return std::chrono::duration<double>(window).count(); }

// No rule fires before min_events have failed.
std::optional<double> WithTraffic(std::optional<double> detect_s, const BurnRule& rule, const Objective& objective,
                                  double bad_share, std::optional<double> requests_per_hour) {
  if (!detect_s || !requests_per_hour) return detect_s;
  const double bad_per_second = *requests_per_hour * bad_share / 3600;
  if (bad_per_second * Seconds(rule.long_window) < static_cast<double>(objective.min_events)) return std::nullopt;
  return std::max(*detect_s, static_cast<double>(objective.min_events) / bad_per_second);
}

RuleTiming TimingOf(const BurnRule& rule, const Objective& objective, std::optional<double> requests_per_hour) {
  const double budget = objective.budget();
  const double ten_times = std::min(1.0, 10 * budget);
  RuleTiming timing{.rule = rule, .error_ratio = rule.ErrorRatio(budget)};
  timing.detects_outage_s = WithTraffic(SecondsToDetect(rule, budget, 1), rule, objective, 1, requests_per_hour);
  timing.detects_10x_s = WithTraffic(SecondsToDetect(rule, budget, ten_times), rule, objective, ten_times, requests_per_hour);
  timing.resets_outage_s = SecondsToReset(rule, budget, 1);
  if (timing.detects_outage_s) {
    timing.budget_spent = *timing.detects_outage_s / (Seconds(std::chrono::minutes(objective.window)) * budget);
  }
  return timing;
}

// Gathers findings on one objective.
class ObjectiveLinter {
 public:
  ObjectiveLinter(const Objective& objective, const LintOptions& options, std::vector<Finding>& findings)
      : objective_(objective), options_(options), findings_(findings) {}

  ObjectiveLint Run() {
    CheckSource();
    ObjectiveLint lint{.objective = objective_, .requests_per_hour = options_.requests_per_hour};
    if (options_.samples) {
      const ExposedObjective exposed = FindExposed(*options_.samples, objective_, options_.source, options_.now_unix_s);
      CheckBuckets(exposed);
      if (!lint.requests_per_hour) lint.requests_per_hour = exposed.requests_per_hour;
    }
    for (const BurnRule& rule : RulesFor(objective_.budget(), objective_.window, options_.factors)) {
      lint.rules.push_back(TimingOf(rule, objective_, lint.requests_per_hour));
      CheckRule(lint.rules.back(), lint.requests_per_hour);
    }
    return lint;
  }

 private:
  void Add(FindingKind kind, std::string message) { findings_.push_back({kind, objective_.id(), std::move(message)}); }

  void CheckSource() {
    if (const auto counts = CountQueriesOf(objective_, options_.source); !counts) {
      Add(FindingKind::kWarning, "there are no rules for it: " + counts.error().message);
    }
  }

  void CheckBuckets(const ExposedObjective& exposed) {
    if (!objective_.has_threshold()) return;
    const double threshold = objective_.threshold_s;
    const std::string name(HistogramName(options_.source, objective_.indicator));
    if (exposed.boundaries.empty()) {
      Add(FindingKind::kWarning, fmt::format("the metrics have no {}_bucket for it yet", name));
      return;
    }
    const bool is_there = std::ranges::any_of(
        exposed.boundaries, [threshold](double boundary) { return std::abs(boundary - threshold) <= kTolerance * threshold; });
    if (is_there) return;
    const auto above = std::ranges::lower_bound(exposed.boundaries, threshold);
    std::string nearest;
    if (above != exposed.boundaries.begin()) nearest += NumberText(*(above - 1));
    if (above != exposed.boundaries.end()) nearest += (nearest.empty() ? "" : " and ") + NumberText(*above);
    Add(FindingKind::kError, fmt::format("{} has no bucket le=\"{}\" (the nearest: {}): start the server with this file", name,
                                         NumberText(threshold), nearest));
  }

  void CheckRule(const RuleTiming& timing, std::optional<double> requests_per_hour) {
    const BurnRule& rule = timing.rule;
    const std::string which =
        fmt::format("{} of {}x over {}", SeverityName(rule.severity), NumberText(rule.factor), WindowText(rule.long_window));
    if (timing.error_ratio >= 1) {
      Add(FindingKind::kError,
          fmt::format("the {} can never fire: it waits for more than {:.0f} % bad requests", which, timing.error_ratio * 100));
      return;
    }
    if (timing.error_ratio > kSlowShare) {
      Add(FindingKind::kWarning, fmt::format("the {} needs {:.0f} min to notice a total outage", which,
                                             timing.error_ratio * Seconds(rule.long_window) / 60));
    }
    if (requests_per_hour && !timing.detects_outage_s) {
      Add(FindingKind::kWarning, fmt::format("the {} cannot fire at {:.3g} requests an hour: {} bad ones must come within {}",
                                             which, *requests_per_hour, objective_.min_events, WindowText(rule.long_window)));
    }
  }

  const Objective& objective_;
  const LintOptions& options_;
  std::vector<Finding>& findings_;
};

Json SecondsToJson(std::optional<double> seconds) { return seconds ? Json(RoundDecimal(*seconds)) : Json(nullptr); }

Json ToJson(const RuleTiming& timing) {
  return {{"severity", SeverityName(timing.rule.severity)},
          {"long_window", WindowText(timing.rule.long_window)},
          {"short_window", WindowText(timing.rule.short_window)},
          {"factor", timing.rule.factor},
          {"error_ratio", timing.error_ratio},
          {"detects_outage_seconds", SecondsToJson(timing.detects_outage_s)},
          {"detects_10x_seconds", SecondsToJson(timing.detects_10x_s)},
          {"resets_outage_seconds", RoundDecimal(timing.resets_outage_s)},
          {"budget_spent", timing.budget_spent}};
}

}  // namespace

bool LintReport::has_errors() const { return std::ranges::count(findings, FindingKind::kError, &Finding::kind) > 0; }

LintReport Lint(const std::vector<Objective>& objectives, const LintOptions& options) {
  LintReport report;
  for (const Objective& objective : objectives) {
    report.objectives.push_back(ObjectiveLinter(objective, options, report.findings).Run());
  }
  return report;
}

Json ToJson(const LintReport& report) {
  Json objectives = Json::array();
  for (const ObjectiveLint& lint : report.objectives) {
    Json rules = Json::array();
    for (const RuleTiming& timing : lint.rules) rules.push_back(ToJson(timing));
    Json json{{"id", lint.objective.id()}, {"target", lint.objective.target}, {"rules", std::move(rules)}};
    if (lint.requests_per_hour) json["requests_per_hour"] = *lint.requests_per_hour;
    objectives.push_back(std::move(json));
  }
  Json findings = Json::array();
  for (const Finding& finding : report.findings) {
    findings.push_back({{"kind", finding.kind == FindingKind::kError ? "error" : "warning"},
                        {"objective", finding.objective},
                        {"message", finding.message}});
  }
  return {{"objectives", std::move(objectives)}, {"findings", std::move(findings)}};
}

}  // namespace autoglm::slo
