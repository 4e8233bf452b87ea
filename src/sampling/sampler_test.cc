#include "sampling/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "support/allocation_counter.h"
#include "support/logits.h"

namespace autoglm {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::FloatEq;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr uint64_t kSeed = 42;

SamplingParams Greedy() { return {.temperature = 0}; }

// `count` tokens, each drawn from the same logits.
std::vector<TokenId> SampleMany(Sampler& sampler, const std::vector<float>& logits, int count) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) {
    auto copy = logits;
    tokens.push_back(sampler.Sample(copy, {}));
  }
  return tokens;
}

std::vector<TokenId> SampleMany(const SamplingParams& params, const std::vector<float>& logits, int count,
                                uint64_t seed = kSeed) {
  EXPECT_TRUE(params.Validate(static_cast<int64_t>(logits.size())));
  Sampler sampler(params, seed, {}, static_cast<int64_t>(logits.size()));
  return SampleMany(sampler, logits, count);
}

TokenId SampleOne(const SamplingParams& params, std::vector<float> logits, std::vector<TokenId> eos_tokens = {}) {
  Sampler sampler(params, kSeed, {}, static_cast<int64_t>(logits.size()));
  return sampler.Sample(logits, eos_tokens);
}

TEST(Sampler, Greedy_TakesTheBestAndOfEqualsTheLower) {
  EXPECT_EQ(SampleOne(Greedy(), {1, 5, 3}), 1);
  EXPECT_EQ(SampleOne(Greedy(), {1, 5, 5, 5}), 1);
  EXPECT_EQ(SampleOne(Greedy(), {-7}), 0);
  EXPECT_EQ(SampleOne({.temperature = 1e-30f}, {1, 5, 3}), 1);
}

TEST(Sampler, TopKOfOneIsGreedyAtAnyTemperature) {
  EXPECT_THAT(SampleMany({.temperature = 2, .top_k = 1}, {0, 0.1f, 0}, 100), Each(1));
}

TEST(Sampler, PaddingOfTheVocabularyIsNeverChosen) {
  std::vector<float> logits = {0, 1, 100, kInfinity};
  for (const float temperature : {0.0f, 1.0f}) {
    Sampler sampler({.temperature = temperature}, kSeed, {}, 2);
    for (const TokenId token : SampleMany(sampler, logits, 50)) EXPECT_LT(token, 2);
  }
}

// --- Randomness ------------------------------------------------------------------------------------------------------------

TEST(Sampler, SameSeedSameTokens_OtherSeedOtherTokens) {
  const std::vector<float> logits(1000, 0);
  const auto first = SampleMany({}, logits, 20, 1);
  EXPECT_EQ(SampleMany({}, logits, 20, 1), first);
  EXPECT_NE(SampleMany({}, logits, 20, 2), first);
  EXPECT_EQ(SampleMany({.seed = 1}, logits, 20, 2), first);
  EXPECT_GT(std::set<TokenId>(first.begin(), first.end()).size(), 15u);
}

TEST(Sampler, DrawDependsOnItsNumberAndNotOnWhatWasDrawnBefore) {
  const auto logits = RandomLogits(500, 1, 3);
  const auto expected = SampleMany({}, logits, 10);
  Sampler sampler({}, kSeed, {}, 500);
  SampleMany(sampler, RandomLogits(500, 5, 4), 9);
  EXPECT_EQ(sampler.num_sampled(), 9);
  EXPECT_EQ(SampleMany(sampler, logits, 1).front(), expected.back());
}

TEST(Sampler, AfterAReplayTheTokensAreThoseOfTheSamplerThatWentThatFar) {
  const SamplingParams params{.presence_penalty = 0.5f, .frequency_penalty = 0.3f, .repetition_penalty = 1.3f, .min_tokens = 12};
  const std::vector<TokenId> prompt = {3, 5};
  const auto logits = RandomLogits(40, 1, 3);
  Sampler whole(params, kSeed, prompt, 40);
  const std::vector<TokenId> tokens = SampleMany(whole, logits, 20);
  for (const int64_t cut : {0, 1, 11, 19}) {
    Sampler rest(params, kSeed, prompt, 40);
    rest.Replay(std::span(tokens).first(static_cast<size_t>(cut)));
    EXPECT_EQ(rest.num_sampled(), cut);
    EXPECT_EQ(SampleMany(rest, logits, static_cast<int>(20 - cut)), std::vector(tokens.begin() + cut, tokens.end())) << cut;
  }
}

TEST(Sampler, UnusedLimitsDoNotChangeTheDraw) {
  const auto logits = RandomLogits(500, 1, 3);
  const auto plain = SampleMany({}, logits, 50);
  EXPECT_EQ(SampleMany({.top_k = 500}, logits, 50), plain);
  EXPECT_EQ(SampleMany({.min_p = 1e-30f}, logits, 50), plain);
  EXPECT_EQ(SampleMany({.top_p = 0.9999999f}, logits, 50), plain);
}

// --- Distributions ---------------------------------------------------------------------------------------------------------

// What vLLM's order of operations says, in doubles and by a full sort.
std::vector<double> ReferenceProbabilities(const SamplingParams& params, const std::vector<float>& logits) {
  std::vector<std::pair<double, size_t>> sorted;  // probability, token: best first
  const double best = *std::max_element(logits.begin(), logits.end());
  sorted.reserve(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) sorted.emplace_back(std::exp((logits[i] - best) / params.temperature), i);
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first > b.first; });

  std::erase_if(sorted, [&](const auto& entry) { return entry.first < params.min_p; });
  if (params.top_k > 0) sorted.resize(std::min(sorted.size(), static_cast<size_t>(params.top_k)));
  const auto total = [&] {
    double sum = 0;
    for (const auto& entry : sorted) sum += entry.first;
    return sum;
  };
  const double mass = params.top_p * total();
  double before = 0;
  size_t num_kept = 0;
  while (num_kept < sorted.size() && (num_kept == 0 || before < mass)) before += sorted[num_kept++].first;
  sorted.resize(num_kept);

  std::vector<double> probabilities(logits.size(), 0);
  for (const auto& [weight, token] : sorted) probabilities[token] = weight / total();
  return probabilities;
}

// Chi-square of `tokens` against `expected`; tokens expected fewer than 5 times are taken together. The limit is the 5-sigma
// quantile by Wilson and Hilferty: one test in three million fails by chance, and seeds are fixed.
void ExpectDistribution(const std::vector<TokenId>& tokens, const std::vector<double>& expected) {
  std::vector<double> counts(expected.size(), 0);
  for (const TokenId token : tokens) {
    ASSERT_GT(expected[static_cast<size_t>(token)], 0) << "token " << token << " cannot be drawn";
    ++counts[static_cast<size_t>(token)];
  }
  double chi_square = 0, rare_count = 0, rare_expected = 0;
  int num_cells = 0;
  const auto add_cell = [&](double count, double mean) {
    chi_square += (count - mean) * (count - mean) / mean;
    ++num_cells;
  };
  for (size_t i = 0; i < expected.size(); ++i) {
    const double mean = expected[i] * static_cast<double>(tokens.size());
    if (mean >= 5) {
      add_cell(counts[i], mean);
    } else {
      rare_count += counts[i];
      rare_expected += mean;
    }
  }
  if (rare_expected >= 5) add_cell(rare_count, rare_expected);
  if (num_cells < 2) return;
  const double freedom = num_cells - 1;
  const double limit = freedom * std::pow(1 - 2 / (9 * freedom) + 5 * std::sqrt(2 / (9 * freedom)), 3);
  EXPECT_LT(chi_square, limit) << freedom << " degrees of freedom";
}

void ExpectReferenceDistribution(const SamplingParams& params, const std::vector<float>& logits, int num_draws) {
  ExpectDistribution(SampleMany(params, logits, num_draws), ReferenceProbabilities(params, logits));
}

TEST(SamplerDistribution, PlainTemperature) {
  const std::vector<float> logits = {0, 1, 2, -1, 0.5f, 3, -4, 2};
  for (const float temperature : {0.3f, 1.0f, 2.0f}) ExpectReferenceDistribution({.temperature = temperature}, logits, 20000);
  ExpectReferenceDistribution({}, RandomLogits(1000, 1, 5), 20000);
}

TEST(SamplerDistribution, DifferentSeedsAreIndependent) {
  // The first token of many sequences, as a user of `n` choices with seeds 0, 1, 2, ... sees it.
  const std::vector<float> logits = {0, 1, 2, -1, 0.5f, 3, -4, 2};
  std::vector<TokenId> tokens;
  tokens.reserve(20000);
  for (uint64_t seed = 0; seed < 20000; ++seed) tokens.push_back(SampleMany({}, logits, 1, seed).front());
  ExpectDistribution(tokens, ReferenceProbabilities({}, logits));
}

TEST(SamplerDistribution, EachLimitAlone) {
  const auto logits = RandomLogits(300, 2, 6);
  ExpectReferenceDistribution({.top_k = 2}, logits, 20000);
  ExpectReferenceDistribution({.top_k = 40}, logits, 20000);
  ExpectReferenceDistribution({.top_p = 0.9f}, logits, 20000);
  ExpectReferenceDistribution({.top_p = 0.05f}, logits, 20000);
  ExpectReferenceDistribution({.min_p = 0.1f}, logits, 20000);
  ExpectReferenceDistribution({.min_p = 1.0f}, logits, 20000);
}

TEST(SamplerDistribution, LimitsTogetherFollowTheStatedOrder) {
  // Probabilities 0.4, 0.3, 0.2, 0.1: top_p 0.7 of the best three (sum 0.9) keeps two; of all four it would as well, but
  // top_p 0.75 keeps two of three (0.675 < 0.7) and three of four.
  const std::vector<float> logits = {std::log(4.0f), std::log(3.0f), std::log(2.0f), std::log(1.0f)};
  const auto drawn = [&](const SamplingParams& params) {
    const auto tokens = SampleMany(params, logits, 2000);
    return std::set<TokenId>(tokens.begin(), tokens.end());
  };
  EXPECT_THAT(drawn({.top_p = 0.75f}), ElementsAre(0, 1, 2));
  EXPECT_THAT(drawn({.top_k = 3, .top_p = 0.75f}), ElementsAre(0, 1));
  EXPECT_THAT(drawn({.top_p = 0.75f, .min_p = 0.3f}), ElementsAre(0, 1));
  // min_p acts at the temperature: at 2 the worst token has half the best one's probability.
  EXPECT_THAT(drawn({.temperature = 2, .min_p = 0.45f}), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(drawn({.min_p = 0.45f}), ElementsAre(0, 1, 2));
}

TEST(SamplerDistribution, RandomCombinationsAgreeWithTheReference) {
  constexpr uint64_t kCombinationSeed = 11;
  Random random(kCombinationSeed);
  for (int round = 0; round < 40; ++round) {
    SCOPED_TRACE(::testing::Message() << "seed " << kCombinationSeed << ", round " << round);
    SamplingParams params;
    params.temperature = static_cast<float>(0.2 + 1.8 * random.NextDouble());
    if (random.NextBelow(2) == 0) params.top_k = static_cast<int>(1 + random.NextBelow(50));
    if (random.NextBelow(2) == 0) params.top_p = static_cast<float>(0.3 + 0.7 * random.NextDouble());
    if (random.NextBelow(2) == 0) params.min_p = static_cast<float>(0.2 * random.NextDouble());
    ExpectReferenceDistribution(params, RandomLogits(20 + random.NextBelow(600), 2, random.NextU64()), 3000);
  }
}

// --- Bias and penalties ----------------------------------------------------------------------------------------------------

// The logits as the choice saw them, in the second step, after `first` was generated.
std::vector<float> SecondLogits(SamplingParams params, const std::vector<TokenId>& prompt, TokenId first,
                                std::vector<float> logits) {
  params.temperature = 0;
  Sampler sampler(params, kSeed, prompt, static_cast<int64_t>(logits.size()));
  std::vector<float> forced(logits.size(), -1000);
  forced[static_cast<size_t>(first)] = 1000;
  EXPECT_EQ(sampler.Sample(forced, {}), first);
  sampler.Sample(logits, {});
  return logits;
}

TEST(SamplerPenalty, RepetitionDividesPositiveAndMultipliesNegativeLogitsOfPromptAndAnswer) {
  EXPECT_THAT(SecondLogits({.repetition_penalty = 2}, {0, 1, 1}, 2, {4, -4, 6, 6, -6}), ElementsAre(2, -8, 3, 6, -6));
  EXPECT_THAT(SecondLogits({.repetition_penalty = 0.5f}, {0, 1}, 0, {4, -4, 6}), ElementsAre(8, -2, 6));
}

TEST(SamplerPenalty, PresenceAndFrequencyActOnTheAnswerOnly) {
  EXPECT_THAT(SecondLogits({.presence_penalty = 1.5f}, {0, 1}, 1, {4, 4, 4}), ElementsAre(4, 2.5f, 4));
  EXPECT_THAT(SecondLogits({.frequency_penalty = -0.5f}, {0, 1}, 1, {4, 4, 4}), ElementsAre(4, 4.5f, 4));
}

TEST(SamplerPenalty, ATokenOfThePromptGetsTheRepetitionPenaltyAlone) {
  EXPECT_THAT(SecondLogits({.presence_penalty = 1, .frequency_penalty = 0.5f, .repetition_penalty = 2}, {0}, 1, {4, 4, 4}),
              ElementsAre(2, 2 - 1 - 0.5f, 4));
}

TEST(SamplerPenalty, FrequencyCountsPresenceDoesNot) {
  Sampler sampler({.temperature = 0, .presence_penalty = 1, .frequency_penalty = 0.25f}, kSeed, {}, 2);
  for (int generated = 0; generated < 4; ++generated) {
    std::vector<float> logits = {0, 10};
    EXPECT_EQ(sampler.Sample(logits, {}), 1);
    EXPECT_THAT(logits[1], FloatEq(generated == 0 ? 10 : 9 - 0.25f * static_cast<float>(generated)));
  }
}

TEST(SamplerPenalty, BiasComesFirstThenRepetitionThenTheOthers) {
  const auto logits = SecondLogits(
      {.presence_penalty = 0.5f, .frequency_penalty = 0.25f, .repetition_penalty = 2, .logit_bias = {{0, 3}, {1, -5}}}, {}, 0,
      {1, 2});
  EXPECT_THAT(logits, ElementsAre(FloatEq((1 + 3) / 2.0f - 0.25f - 0.5f), FloatEq(-3)));
}

TEST(SamplerPenalty, ChangesTheGreedyChoice) {
  EXPECT_THAT(SampleMany({.temperature = 0, .presence_penalty = 2}, {5, 4.5f, 4}, 4), ElementsAre(0, 1, 2, 0));
  EXPECT_THAT(SampleMany({.temperature = 0, .logit_bias = {{2, 100}}}, {5, 4, 3}, 2), ElementsAre(2, 2));
}

TEST(SamplerPenalty, TokensOutsideTheVocabularyAreIgnored) {
  const std::vector<TokenId> prompt = {-1, 1, 3, 1000000};
  Sampler sampler({.temperature = 0, .repetition_penalty = 2, .logit_bias = {{3, 100}}}, kSeed, prompt, 3);
  std::vector<float> logits = {1, 4, 3, 8};
  EXPECT_EQ(sampler.Sample(logits, {}), 2);
  EXPECT_THAT(logits, ElementsAre(1, 2, 3, 8));
}

TEST(Sampler, EosWaitsForMinTokens) {
  const std::vector<TokenId> eos_tokens = {1, 2, -1, 99};
  Sampler sampler({.temperature = 0, .min_tokens = 2}, kSeed, {}, 3);
  std::vector<TokenId> tokens;
  for (int i = 0; i < 4; ++i) {
    std::vector<float> logits = {0, 9, 8};
    tokens.push_back(sampler.Sample(logits, eos_tokens));
  }
  EXPECT_THAT(tokens, ElementsAre(0, 0, 1, 1));
}

// --- Odd logits ------------------------------------------------------------------------------------------------------------

std::vector<SamplingParams> EveryWayToChoose() {
  return {{.temperature = 0},
          {},
          {.top_k = 2},
          {.top_p = 0.9f},
          {.min_p = 0.05f},
          {.top_k = 3, .top_p = 0.5f, .min_p = 0.01f},
          {.presence_penalty = 1, .frequency_penalty = 1, .repetition_penalty = 1.3f},
          {.temperature = 1.1e-5f}};
}

TEST(SamplerOddLogits, NanIsNeverChosen) {
  for (const auto& params : EveryWayToChoose()) EXPECT_THAT(SampleMany(params, {kNan, -50, kNan, -kInfinity}, 20), Each(1));
}

TEST(SamplerOddLogits, AnInfiniteLogitIsChosen) {
  for (const auto& params : EveryWayToChoose()) EXPECT_EQ(SampleOne(params, {3, kInfinity, 5, kInfinity}), 1);
}

TEST(SamplerOddLogits, NothingPossibleGivesEosOrZero) {
  for (const auto& params : EveryWayToChoose()) {
    for (const float logit : {-kInfinity, kNan}) {
      EXPECT_EQ(SampleOne(params, std::vector<float>(4, logit), {77, 3}), 3);
      EXPECT_EQ(SampleOne(params, std::vector<float>(4, logit)), 0);
    }
  }
}

TEST(SamplerOddLogits, TheLargestAndSmallestFloatsDoNotOverflow) {
  constexpr float kMax = std::numeric_limits<float>::max();
  for (const auto& params : EveryWayToChoose()) EXPECT_EQ(SampleOne(params, {-kMax, 0, kMax, -kMax}), 2);
}

TEST(SamplerOddLogits, AllEqualStaysWithinTheVocabulary) {
  for (const auto& params : EveryWayToChoose()) {
    for (const TokenId token : SampleMany(params, std::vector<float>(257, 1.5f), 100)) EXPECT_LT(token, 257);
  }
}

// --- Memory ----------------------------------------------------------------------------------------------------------------

TEST(Sampler, SampleAllocatesNothing) {
  const auto flat = RandomLogits(5000, 0.5f, 1);
  std::vector<TokenId> prompt(300);
  for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<TokenId>(i * 7);
  for (auto params : EveryWayToChoose()) {
    params.max_tokens = 50;
    Sampler sampler(params, kSeed, prompt, 5000);
    std::vector<float> logits(flat.size());
    const AllocationCounter allocations;
    for (int i = 0; i < 50; ++i) {
      std::copy(flat.begin(), flat.end(), logits.begin());
      sampler.Sample(logits, {});
    }
    EXPECT_EQ(allocations.num_allocations(), 0) << params.temperature << " " << params.top_k << " " << params.top_p;
  }
}

}  // namespace
}  // namespace autoglm
