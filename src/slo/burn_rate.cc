#include "slo/burn_rate.h"

#include <fmt/format.h>
#include <math.h>

#include <algorithm>
#include <cmath>

namespace autoglm::slo {
namespace {

using std::chrono::minutes;

struct StandardRule {
  Severity severity;
  minutes long_window;
  minutes short_window;
  double share;   // of the budget, gone when it fires
  double factor;  // of 30 days
};
constexpr std::array<StandardRule, 4> kStandardRules = {{{Severity::kPage, minutes(60), minutes(5), 0.02, 14.4},
                                                         {Severity::kPage, minutes(360), minutes(30), 0.05, 6},
                                                         {Severity::kTicket, minutes(1440), minutes(120), 0.1, 3},
                                                         {Severity::kTicket, minutes(4320), minutes(360), 0.1, 1}}};

// So that files can be read: three digits are enough.
double Rounded(double factor) { return std::round(factor * 1000) / 1000; }

double StandardFactor(const StandardRule& rule, std::chrono::hours period) {
  return std::max(1.0, rule.share * static_cast<double>(minutes(period).count()) / static_cast<double>(rule.long_window.count()));
}

double LogGamma(double x) {
  int sign = 0;
  return lgamma_r(x, &sign);  // std::lgamma writes to a global
}

// The continued fraction of the incomplete beta function, by Lentz's method (Numerical Recipes, 6.4).
double BetaFraction(double a, double b, double x) {
  constexpr int kMaxSteps = 10'000;
  constexpr double kTiny = 1e-300;
  constexpr double kPrecision = 1e-14;
  const auto away_from_zero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1;
  double d = 1 / away_from_zero(1 - (a + b) * x / (a + 1));
  double fraction = d;
  for (int i = 1; i <= kMaxSteps; ++i) {
    const double m = i;
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away_from_zero(1 + even * d);
    c = away_from_zero(1 + even / c);
    fraction *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away_from_zero(1 + odd * d);
    c = away_from_zero(1 + odd / c);
    fraction *= d * c;
    if (std::abs(d * c - 1) < kPrecision) break;
  }
  return fraction;
}

double RegularizedBeta(double a, double b, double x) {
  const double front = std::exp(LogGamma(a + b) - LogGamma(a) - LogGamma(b) + a * std::log(x) + b * std::log1p(-x));
  // The fraction converges fast below the mean; above it, its mirror does.
  if (x < (a + 1) / (a + b + 2)) return front * BetaFraction(a, b, x) / a;
  return 1 - front * BetaFraction(b, a, 1 - x) / b;
}

}  // namespace

std::string_view SeverityName(Severity severity) { return severity == Severity::kPage ? "page" : "ticket"; }

BurnRules RulesFor(double budget, std::chrono::hours period, FactorChoice choice) {
  const double first = StandardFactor(kStandardRules[0], period);
  const double outage_share =
      static_cast<double>(kOutageDetected.count()) / static_cast<double>(kStandardRules[0].long_window.count());
  const double cap = std::max(outage_share / budget, std::min(2.0, std::sqrt(1 / budget)));
  BurnRules rules;
  for (size_t i = 0; i < rules.size(); ++i) {
    const StandardRule& standard = kStandardRules[i];
    double factor = standard.factor;
    if (choice == FactorChoice::kFitted) {
      factor = StandardFactor(standard, period);
      if (cap < first) factor = std::pow(cap, std::log(factor) / std::log(first));
      factor = Rounded(factor);
    }
    rules[i] = {standard.severity, standard.long_window, standard.short_window, factor};
  }
  return rules;
}

std::optional<double> SecondsToDetect(const BurnRule& rule, double budget, double error_ratio) {
  const double threshold = rule.ErrorRatio(budget);
  if (threshold >= error_ratio) return std::nullopt;
  const std::chrono::duration<double> window = rule.long_window;
  return window.count() * threshold / error_ratio;
}

double SecondsToReset(const BurnRule& rule, double budget, double error_ratio) {
  const std::chrono::duration<double> window = rule.short_window;
  return window.count() * std::max(0.0, 1 - rule.ErrorRatio(budget) / error_ratio);
}

std::string WindowText(minutes window) {
  if (window.count() % 1440 == 0) return fmt::format("{}d", window.count() / 1440);
  if (window.count() % 60 == 0) return fmt::format("{}h", window.count() / 60);
  return fmt::format("{}m", window.count());
}

double BinomialTail(int64_t bad, int64_t total, double probability) {
  if (bad <= 0) return 1;
  if (bad > total || probability <= 0) return 0;
  if (probability >= 1) return 1;
  return RegularizedBeta(static_cast<double>(bad), static_cast<double>(total - bad) + 1, probability);
}

}  // namespace autoglm::slo
