#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/model_config.h"

namespace autoglm {

// One expert that sees a token, and how much its answer counts.
struct ExpertChoice {
  int32_t expert = 0;
  float weight = 0;
};

// Memory of one RouteToken, kept between calls.
struct RouterScratch {
  std::vector<float> scores;   // sigmoid of the logits
  std::vector<float> choice;   // with the bias: only decides who is chosen
  std::vector<float> groups;   // sum of the two best of a group
  std::vector<int32_t> order;  // of groups, then of experts
};

// DeepSeek-V3's choice of experts, which GLM-4.5 shares: the best groups by the sum of their two best scores, in them the best
// experts by sigmoid(logit) + bias; weights are the sigmoids without the bias, normalised and scaled as the config says. On
// equal scores the lower number wins.
//
// logits: [num_experts]; bias: [num_experts] or empty; chosen: [num_experts_per_token], by rising number of the expert, so that
// sums over experts have one order.
void RouteToken(std::span<const float> logits, std::span<const float> bias, const MoeConfig& moe, RouterScratch& scratch,
                std::span<ExpertChoice> chosen);

}  // namespace autoglm
