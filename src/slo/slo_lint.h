#pragma once

#include <optional>
#include <string>
#include <vector>

#include "json/json.h"
#include "slo/burn_rate.h"
#include "slo/exposition.h"
#include "slo/objective.h"
#include "slo/prom_query.h"

namespace autoglm::slo {

struct LintOptions {
  Source source = Source::kServer;
  FactorChoice factors = FactorChoice::kFitted;
  std::optional<double> requests_per_hour;     // of each objective; else what `samples` say
  std::optional<std::vector<Sample>> samples;  // of a server as it runs
  double now_unix_s = 0;
};

// How a rule behaves at a steady rate of requests. Seconds.
struct RuleTiming {
  BurnRule rule;
  double error_ratio = 0;                  // above which it fires
  std::optional<double> detects_outage_s;  // all requests fail; nullopt: never
  std::optional<double> detects_10x_s;     // ten times as many as the budget allows, or all of them
  double resets_outage_s = 0;              // after a total outage, at the latest
  double budget_spent = 0;                 // share of it, when a total outage is detected
};

enum class FindingKind { kError, kWarning };
struct Finding {
  FindingKind kind = FindingKind::kWarning;
  std::string objective;  // its id
  std::string message;
};

struct ObjectiveLint {
  Objective objective;
  std::optional<double> requests_per_hour;
  std::vector<RuleTiming> rules;
};

struct LintReport {
  std::vector<ObjectiveLint> objectives;
  std::vector<Finding> findings;

  bool has_errors() const;
};

// Errors: rules that can never fire, thresholds without a bucket. Warnings: a total outage that takes more than a quarter of the
// long window to be noticed, too little traffic, objectives that the source's metrics cannot tell.
LintReport Lint(const std::vector<Objective>& objectives, const LintOptions& options);
Json ToJson(const LintReport& report);

}  // namespace autoglm::slo
