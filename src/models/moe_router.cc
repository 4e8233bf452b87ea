#include "models/moe_router.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"

namespace autoglm {
namespace {

constexpr float kTinySum = 1e-20f;  // the reference's guard against a division by zero

// The indices of the `count` largest of `values`, best first, the lower index first on ties.
std::span<const int32_t> Best(std::span<const float> values, int64_t count, std::vector<int32_t>& order) {
  order.resize(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](int32_t a, int32_t b) {
    return values[static_cast<size_t>(a)] != values[static_cast<size_t>(b)]
               ? values[static_cast<size_t>(a)] > values[static_cast<size_t>(b)]
               : a < b;
  });
  return std::span(order).first(static_cast<size_t>(count));
}

// Takes the experts of all but the best groups out of the choice.
void KeepBestGroups(const MoeConfig& moe, RouterScratch& scratch) {
  if (moe.num_groups_kept == moe.num_groups) return;
  const auto group_size = static_cast<size_t>(moe.num_experts / moe.num_groups);
  scratch.groups.resize(static_cast<size_t>(moe.num_groups));
  for (size_t group = 0; group < scratch.groups.size(); ++group) {
    float first = -std::numeric_limits<float>::infinity();
    float second = first;
    for (const float score : std::span(scratch.choice).subspan(group * group_size, group_size)) {
      second = std::max(second, std::min(first, score));
      first = std::max(first, score);
    }
    scratch.groups[group] = first + second;
  }
  for (const int32_t group : Best(scratch.groups, moe.num_groups_kept, scratch.order)) {
    scratch.groups[static_cast<size_t>(group)] = std::numeric_limits<float>::infinity();
  }
  for (size_t group = 0; group < scratch.groups.size(); ++group) {
    if (scratch.groups[group] == std::numeric_limits<float>::infinity()) continue;
    const auto experts = std::span(scratch.choice).subspan(group * group_size, group_size);
    std::ranges::fill(experts, -std::numeric_limits<float>::infinity());
  }
}

}  // namespace

void RouteToken(std::span<const float> logits, std::span<const float> bias, const MoeConfig& moe, RouterScratch& scratch,
                std::span<ExpertChoice> chosen) {
  AUTOGLM_CHECK(std::ssize(logits) == moe.num_experts && std::ssize(chosen) == moe.num_experts_per_token);
  scratch.scores.resize(logits.size());
  scratch.choice.resize(logits.size());
  for (size_t expert = 0; expert < logits.size(); ++expert) {
    scratch.scores[expert] = 1.0f / (1.0f + std::exp(-logits[expert]));
    const float choice = scratch.scores[expert] + (bias.empty() ? 0.0f : bias[expert]);
    scratch.choice[expert] = std::isnan(choice) ? -std::numeric_limits<float>::infinity() : choice;  // an order needs numbers
  }
  KeepBestGroups(moe, scratch);

  float sum = 0;
  const auto best = Best(scratch.choice, moe.num_experts_per_token, scratch.order);
  for (size_t i = 0; i < chosen.size(); ++i) {
    chosen[i] = {best[i], scratch.scores[static_cast<size_t>(best[i])]};
    sum += chosen[i].weight;
  }
  for (ExpertChoice& choice : chosen) {
    if (moe.normalizes_weights) choice.weight /= sum + kTinySum;
    choice.weight *= moe.routed_scale;
  }
  std::ranges::sort(chosen, {}, &ExpertChoice::expert);
}

}  // namespace autoglm
