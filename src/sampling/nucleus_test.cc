#include "sampling/nucleus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "support/logits.h"

namespace autoglm {
namespace {

using ::testing::ElementsAre;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The tokens that CutToNucleus leaves above its floor, for a share of the whole mass.
std::vector<TokenId> Nucleus(std::vector<float> logits, float temperature, double top_p, float floor = -kInfinity) {
  const Softmax softmax{.max_logit = MaxLogit(logits), .inverse_temperature = 1 / temperature};
  std::vector<double> block_sums(NumScanBlocks(logits.size()));
  const double total = SumWeights(logits, softmax, floor, block_sums);
  std::vector<Candidate> scratch;
  const float lowest = CutToNucleus(logits, softmax, floor, top_p * total, scratch);
  std::vector<TokenId> tokens;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] >= lowest) tokens.push_back(static_cast<TokenId>(i));
  }
  return tokens;
}

// By a full sort, in doubles. Tokens whose turn comes within 1e-5 of the border may fall on either side of it.
void ExpectReferenceNucleus(const std::vector<float>& logits, float temperature, double top_p) {
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  std::vector<double> weights;
  weights.reserve(order.size());
  for (const size_t i : order) weights.push_back(std::exp((static_cast<double>(logits[i]) - logits[order[0]]) / temperature));
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);

  const auto found = Nucleus(logits, temperature, top_p);
  ASSERT_FALSE(found.empty());
  const double before_last = std::accumulate(weights.begin(), weights.begin() + static_cast<ptrdiff_t>(found.size()) - 1, 0.0);
  EXPECT_LT(before_last / total, top_p + 1e-5);
  EXPECT_GT((before_last + weights[found.size() - 1]) / total, top_p - 1e-5);
  std::vector<TokenId> best(order.begin(), order.begin() + static_cast<ptrdiff_t>(found.size()));
  std::sort(best.begin(), best.end());
  EXPECT_EQ(found, best);
}

TEST(Nucleus, IsTheStartOfAFullSort) {
  for (const size_t length : {1u, 2u, 100u, 257u, 5000u}) {
    for (const float deviation : {0.001f, 1.0f, 5.0f, 40.0f}) {
      const auto logits = RandomLogits(length, deviation, length);
      for (const float temperature : {0.01f, 0.7f, 2.0f}) {
        for (const double top_p : {1e-6, 0.1, 0.5, 0.9, 0.999}) ExpectReferenceNucleus(logits, temperature, top_p);
      }
    }
  }
}

TEST(Nucleus, OfEqualTokensTheLowerStay) {
  EXPECT_THAT(Nucleus(std::vector<float>(8, 1.5f), 1, 0.5), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(Nucleus({0, 3, 0, 3, 3, 0}, 1, 0.6), ElementsAre(1, 3));
}

TEST(Nucleus, ReachesPastTheNearTokensWhereTheyAreNotEnough) {
  // The best token has a third of the mass; the rest lies 10 units below in many tokens.
  std::vector<float> logits(44053, -10);
  logits[5] = 0;
  EXPECT_EQ(Nucleus(logits, 1, 0.3).size(), 1u);
  EXPECT_NEAR(static_cast<double>(Nucleus(logits, 1, 2.0 / 3).size()), 22026, 30);
}

TEST(Nucleus, CountsOnlyTokensAboveTheFloor) {
  // Weights 8, 4, 2, 1: without the last two, 0.6 of the mass is in the first.
  const std::vector<float> logits = {std::log(8.0f), std::log(4.0f), std::log(2.0f), 0};
  EXPECT_THAT(Nucleus(logits, 1, 0.6), ElementsAre(0, 1));
  EXPECT_THAT(Nucleus(logits, 1, 0.6, 1), ElementsAre(0));
}

TEST(Nucleus, MoreMassThanThereIsIsEveryToken) {
  const auto logits = RandomLogits(3000, 3, 1);
  EXPECT_EQ(Nucleus(logits, 1, 1.1).size(), logits.size());
}

}  // namespace
}  // namespace autoglm
