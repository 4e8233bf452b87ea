#include "slo/burn_rate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace autoglm::slo {
namespace {

using std::chrono::hours;
using testing::ElementsAre;

std::array<double, 4> Factors(double budget, int days, FactorChoice choice = FactorChoice::kFitted) {
  std::array<double, 4> factors{};
  const BurnRules rules = RulesFor(budget, hours(24 * days), choice);
  for (size_t i = 0; i < rules.size(); ++i) factors[i] = rules[i].factor;
  return factors;
}

TEST(BurnRate, TightObjectives_KeepTheStandardFactors) {
  EXPECT_THAT(Factors(0.001, 30), ElementsAre(14.4, 6, 3, 1));
  EXPECT_THAT(Factors(0.01, 30), ElementsAre(14.4, 6, 3, 1));
  EXPECT_THAT(Factors(0.001, 28), ElementsAre(13.44, 5.6, 2.8, 1));
}

TEST(BurnRate, LooseObjectives_GetFactorsThatCanFire) {
  EXPECT_THAT(Factors(0.05, 30), ElementsAre(3.333, 2.245, 1.642, 1));
  EXPECT_THAT(Factors(0.1, 30), ElementsAre(2, 1.593, 1.33, 1));
  for (const double budget : {0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 0.9, 0.99}) {
    for (const int days : {7, 28, 30, 90}) {
      const BurnRules rules = RulesFor(budget, hours(24 * days), FactorChoice::kFitted);
      for (size_t i = 0; i < rules.size(); ++i) {
        EXPECT_LT(rules[i].ErrorRatio(budget), 1) << budget << " " << days;
        EXPECT_GE(rules[i].factor, 1);
        EXPECT_LE(rules[i].factor, rules[i == 0 ? 0 : i - 1].factor);
      }
    }
  }
}

TEST(BurnRate, AskedFor_StandardFactorsStay) {
  EXPECT_THAT(Factors(0.1, 30, FactorChoice::kStandard), ElementsAre(14.4, 6, 3, 1));
}

TEST(BurnRate, TotalOutage_IsDetectedWhenTheLongWindowHoldsEnough) {
  const BurnRules standard = RulesFor(0.05, hours(720), FactorChoice::kStandard);
  EXPECT_NEAR(*SecondsToDetect(standard[0], 0.05, 1) / 60, 43.2, 1e-9);
  EXPECT_NEAR(*SecondsToDetect(standard[1], 0.05, 1) / 60, 108, 1e-9);
  EXPECT_FALSE(SecondsToDetect(standard[0], 0.1, 1));
  EXPECT_NEAR(*SecondsToDetect(standard[0], 0.001, 1) / 60, 0.864, 1e-9);
  const BurnRules fitted = RulesFor(0.05, hours(720), FactorChoice::kFitted);
  EXPECT_NEAR(*SecondsToDetect(fitted[0], 0.05, 1) / 60, 10, 0.01);
}

TEST(BurnRate, Reset_TakesTheShortWindowLessWhatMayStay) {
  const BurnRule rule{.factor = 10};
  EXPECT_NEAR(SecondsToReset(rule, 0.01, 1), 270, 1e-9);
  EXPECT_NEAR(SecondsToReset(rule, 0.01, 0.1), 0, 1e-9);
}

// By adding up the distribution's terms.
double SlowTail(int bad, int total, double p) {
  double sum = 0;
  for (int k = bad; k <= total; ++k) {
    sum += std::exp(std::lgamma(total + 1) - std::lgamma(k + 1) - std::lgamma(total - k + 1) + k * std::log(p) +
                    (total - k) * std::log1p(-p));
  }
  return sum;
}

TEST(BinomialTail, IsTheSumOfItsTerms) {
  for (const int total : {1, 3, 10, 100, 3000}) {
    for (const double p : {0.001, 0.01, 0.05, 0.5, 0.9}) {
      for (const int bad : {1, 2, total / 2, total}) {
        if (bad < 1 || bad > total) continue;
        const double expected = SlowTail(bad, total, p);
        EXPECT_NEAR(BinomialTail(bad, total, p), expected, 1e-9 + expected * 1e-8) << bad << " of " << total << " at " << p;
      }
    }
  }
}

TEST(BinomialTail, Edges_AreCertainties) {
  EXPECT_EQ(BinomialTail(0, 10, 0.1), 1);
  EXPECT_EQ(BinomialTail(11, 10, 0.1), 0);
  EXPECT_EQ(BinomialTail(1, 10, 0), 0);
  EXPECT_EQ(BinomialTail(1, 10, 1), 1);
}

TEST(WindowText, UsesTheLargestUnit) {
  using std::chrono::minutes;
  EXPECT_EQ(WindowText(minutes(5)), "5m");
  EXPECT_EQ(WindowText(minutes(120)), "2h");
  EXPECT_EQ(WindowText(minutes(4320)), "3d");
}

}  // namespace
}  // namespace autoglm::slo
