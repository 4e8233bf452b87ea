#include "sampling/candidates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "support/logits.h"

namespace autoglm {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<TokenId> Tokens(std::span<const Candidate> candidates) {
  std::vector<TokenId> tokens;
  for (const Candidate& candidate : candidates) tokens.push_back(candidate.token);
  std::sort(tokens.begin(), tokens.end());
  return tokens;
}

std::vector<TokenId> TopK(std::span<const float> logits, size_t k, float floor = -kInfinity) {
  std::vector<Candidate> candidates;
  GatherTopK(logits, k, floor, candidates);
  EXPECT_LE(candidates.capacity(), std::max<size_t>(2 * TopKCapacity(k), 128));
  return Tokens(candidates);
}

// By a full sort.
std::vector<TokenId> ReferenceTopK(std::span<const float> logits, size_t k) {
  std::vector<TokenId> tokens(logits.size());
  std::iota(tokens.begin(), tokens.end(), 0);
  std::stable_sort(tokens.begin(), tokens.end(), [&](TokenId a, TokenId b) { return logits[a] > logits[b]; });
  tokens.resize(std::min(k, tokens.size()));
  std::sort(tokens.begin(), tokens.end());
  return tokens;
}

TEST(Candidates, GatherTopK_IsTheStartOfAFullSort) {
  for (const size_t length : {1u, 63u, 64u, 65u, 3000u}) {
    auto random = RandomLogits(length, 3, length);
    auto ascending = random;
    std::sort(ascending.begin(), ascending.end());
    // Many equal logits: only the lower tokens may stay.
    auto coarse = random;
    for (float& logit : coarse) logit = static_cast<float>(static_cast<int>(logit));
    for (const size_t k : {1u, 2u, 31u, 32u, 33u, 40u, 500u, 5000u}) {
      for (const auto& logits : {random, ascending, coarse})
        ASSERT_EQ(TopK(logits, k), ReferenceTopK(logits, k)) << length << " " << k;
    }
  }
}

TEST(Candidates, GatherTopK_KeepsToTheFloorAndToPossibleTokens) {
  const std::vector<float> logits = {1, kNan, 3, -kInfinity, 2, 3};
  EXPECT_THAT(TopK(logits, 10), ElementsAre(0, 2, 4, 5));
  EXPECT_THAT(TopK(logits, 10, 2), ElementsAre(2, 4, 5));
  EXPECT_THAT(TopK(logits, 1, 2), ElementsAre(2));
  EXPECT_THAT(TopK(logits, 1, 4), IsEmpty());
}

TEST(Candidates, SortOutNucleus_TakesTheFewestThatReachTheMass) {
  const std::vector<Candidate> original = {{7, 1, 0.1f}, {3, 4, 0.4f}, {9, 3, 0.3f}, {1, 2, 0.2f}};
  const auto nucleus = [&](double mass) {
    auto candidates = original;
    const size_t num_kept = SortOutNucleus(mass, candidates);
    EXPECT_EQ(Tokens(candidates), Tokens(original));
    return Tokens(std::span(candidates).first(num_kept));
  };
  EXPECT_THAT(nucleus(1e-30), ElementsAre(3));
  EXPECT_THAT(nucleus(0.39), ElementsAre(3));
  EXPECT_THAT(nucleus(0.41), ElementsAre(3, 9));
  EXPECT_THAT(nucleus(0.75), ElementsAre(1, 3, 9));
  EXPECT_THAT(nucleus(0.95), ElementsAre(1, 3, 7, 9));
  EXPECT_THAT(nucleus(5), ElementsAre(1, 3, 7, 9));
}

TEST(Candidates, SortOutNucleus_EqualsGoToTheLowerToken) {
  std::vector<Candidate> candidates;
  for (const TokenId token : {5, 2, 8, 1, 9}) candidates.push_back({.token = token, .logit = 1, .weight = 1});
  const size_t num_kept = SortOutNucleus(2.5, candidates);
  EXPECT_THAT(Tokens(std::span(candidates).first(num_kept)), ElementsAre(1, 2, 5));
}

TEST(Candidates, Draw_GivesEachItsShare) {
  const std::vector<Candidate> candidates = {{4, 0, 0}, {5, 0, 1}, {6, 0, 2}, {7, 0, 0}, {8, 0, 1}, {9, 0, 0}};
  EXPECT_EQ(Draw(candidates, 0), 5);
  EXPECT_EQ(Draw(candidates, 0.2499), 5);
  EXPECT_EQ(Draw(candidates, 0.25), 6);
  EXPECT_EQ(Draw(candidates, 0.7499), 6);
  EXPECT_EQ(Draw(candidates, 0.75), 8);
  EXPECT_EQ(Draw(candidates, 1.0), 8);
}

}  // namespace
}  // namespace autoglm
