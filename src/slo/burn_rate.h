#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::slo {

enum class Severity { kPage, kTicket };
std::string_view SeverityName(Severity severity);  // "page", "ticket"

// Fires while the share of bad requests, over the long window and over the short one, is more than `factor` times the budget.
struct BurnRule {
  Severity severity = Severity::kPage;
  std::chrono::minutes long_window{60};
  std::chrono::minutes short_window{5};
  double factor = 1;

  // Share of bad requests above which it fires; 1 and more: never.
  double ErrorRatio(double budget) const { return factor * budget; }
};

enum class FactorChoice {
  kFitted,    // as FittedFactors has them
  kStandard,  // 14.4, 6, 3 and 1, whatever the objective
};

using BurnRules = std::array<BurnRule, 4>;

// The rules of the SRE workbook, chapter 5, for a budget over `period`: pages for 1 h and 6 h, tickets for 1 d and 3 d.
//
// Standard factors are share * period / long window, with 2 %, 5 %, 10 % and 10 % of the budget: 14.4, 6, 3 and 1 for 30 days.
// Beyond 1 / budget a factor cannot be reached, and before that a total outage takes long: share * period * budget, 43 minutes
// for a percentile of 95. So the first factor is at most
//   cap = max(kOutageDetected / (budget * 1 h), min(2, sqrt(1 / budget)))
// which fires after ten minutes of a total outage, but not below twice the budget. Where that is less than the standard, all
// factors shrink alike on a logarithmic scale, fitted = cap ^ (ln standard / ln first standard), so that 1 stays 1 and the order
// of the rules stays as it is.
BurnRules RulesFor(double budget, std::chrono::hours period, FactorChoice choice);
inline constexpr std::chrono::minutes kOutageDetected{10};

// From a budget that is untouched until requests begin to fail with this share, at a steady rate of requests: when the rule
// fires. nullopt: never. `error_ratio` in (0, 1].
std::optional<double> SecondsToDetect(const BurnRule& rule, double budget, double error_ratio);
// From the end of such a failure, which had lasted for the short window at least: when the rule no longer fires, at the latest.
double SecondsToReset(const BurnRule& rule, double budget, double error_ratio);

// "5m", "6h", "3d": as the names of rules have them.
std::string WindowText(std::chrono::minutes window);

// The chance that of `total` requests at least `bad` fail where each fails with `probability`: the upper tail of the binomial
// distribution, exact but for rounding (a regularised incomplete beta function). For low traffic, where a share says little.
double BinomialTail(int64_t bad, int64_t total, double probability);

}  // namespace autoglm::slo
