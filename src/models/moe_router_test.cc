#include "models/moe_router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace autoglm {
namespace {

using testing::ElementsAre;

float Sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

std::vector<ExpertChoice> Route(const std::vector<float>& logits, const std::vector<float>& bias, const MoeConfig& moe) {
  RouterScratch scratch;
  std::vector<ExpertChoice> chosen(static_cast<size_t>(moe.num_experts_per_token));
  RouteToken(logits, bias, moe, scratch, chosen);
  return chosen;
}

std::vector<int32_t> Numbers(const std::vector<ExpertChoice>& chosen) {
  std::vector<int32_t> numbers;
  numbers.reserve(chosen.size());
  for (const ExpertChoice& choice : chosen) numbers.push_back(choice.expert);
  return numbers;
}

TEST(MoeRouter, TakesTheBestInRisingOrder) {
  const MoeConfig moe{.num_experts = 4, .num_experts_per_token = 2};
  EXPECT_THAT(Numbers(Route({0, 3, 1, 2}, {}, moe)), ElementsAre(1, 3));
}

TEST(MoeRouter, BiasChoosesButDoesNotWeigh) {
  const MoeConfig moe{.num_experts = 4, .num_experts_per_token = 1, .normalizes_weights = false};
  const auto chosen = Route({0, 3, 1, 2}, {1, 0, 0, 0}, moe);
  EXPECT_THAT(Numbers(chosen), ElementsAre(0));
  EXPECT_FLOAT_EQ(chosen[0].weight, Sigmoid(0));
}

TEST(MoeRouter, NormalisesThenScales) {
  const MoeConfig moe{.num_experts = 3, .num_experts_per_token = 2, .routed_scale = 2.5f};
  const auto chosen = Route({1, -1, 2}, {}, moe);
  EXPECT_FLOAT_EQ(chosen[0].weight + chosen[1].weight, 2.5f);
  EXPECT_FLOAT_EQ(chosen[1].weight / chosen[0].weight, Sigmoid(2) / Sigmoid(1));
}

TEST(MoeRouter, LooksOnlyIntoTheBestGroups) {
  // Groups {0, 1}, {2, 3}, {4, 5}: the best single expert (4) stands in the group with the lowest sum of two.
  const MoeConfig moe{.num_experts = 6, .num_experts_per_token = 2, .num_groups = 3, .num_groups_kept = 1};
  EXPECT_THAT(Numbers(Route({1, 1, 0.5f, 0.5f, 1.2f, -9}, {}, moe)), ElementsAre(0, 1));
}

TEST(MoeRouter, OnEqualScoresTheLowerNumberWins) {
  const MoeConfig moe{.num_experts = 4, .num_experts_per_token = 2};
  EXPECT_THAT(Numbers(Route({1, 1, 1, 1}, {}, moe)), ElementsAre(0, 1));
}

TEST(MoeRouter, NotANumber_StillChoosesDistinctExperts) {
  const MoeConfig moe{.num_experts = 4, .num_experts_per_token = 2, .num_groups = 2, .num_groups_kept = 1};
  const auto chosen = Route({NAN, NAN, NAN, NAN}, {}, moe);
  EXPECT_LT(chosen[0].expert, chosen[1].expert);
}

}  // namespace
}  // namespace autoglm
