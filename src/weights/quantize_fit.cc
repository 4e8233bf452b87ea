#include "weights/quantize_fit.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "weights/quant_blocks.h"

namespace autoglm {
namespace {

// Grids that reach from one step less than the range of the values to one step more: a grid that cuts the outermost values off
// has smaller steps for all others.
constexpr int kNumTrials = 41;
constexpr float kTrialStep = 0.05f;

struct WeightedSums {
  float w = 0;  // of the weights
  float x = 0;  // of weight * value
  float l = 0;  // of weight * level, and so on
  float ll = 0;
  float xl = 0;
};

// The minimum of the error over scale and minimum: two linear equations. False where all levels are one.
bool SolveAffine(const WeightedSums& sums, MinimumSign sign, AffineFit& fit) {
  const float determinant = sums.w * sums.ll - sums.l * sums.l;
  if (determinant <= 0) return false;
  fit.scale = (sums.w * sums.xl - sums.x * sums.l) / determinant;
  fit.minimum = (sums.ll * sums.x - sums.l * sums.xl) / determinant;
  if (sign == MinimumSign::kNeverAbove0 && fit.minimum > 0) fit = {.scale = sums.xl / sums.ll, .minimum = 0};
  return fit.scale > 0;
}

}  // namespace

AffineFit FitAffine(std::span<const float> values, std::span<const float> weights, int highest_level, MinimumSign sign) {
  AUTOGLM_CHECK(!values.empty() && values.size() <= kBlock && weights.size() == values.size());
  const auto [least, most] = std::ranges::minmax(values);
  const float lowest = sign == MinimumSign::kNeverAbove0 ? std::min(least, 0.0f) : least;
  const float range = most - lowest;
  if (range <= 0) return {.scale = 0, .minimum = lowest};

  const auto top = static_cast<float>(highest_level);
  AffineFit best{.scale = range / top, .minimum = lowest};
  float best_error = INFINITY;
  std::array<float, kBlock> levels;
  for (int trial = 0; trial < kNumTrials; ++trial) {
    const int step = trial - kNumTrials / 2;
    const float inverse_scale = (top + static_cast<float>(step) * kTrialStep) / range;
    WeightedSums sums;
    for (size_t i = 0; i < values.size(); ++i) {
      levels[i] = RoundToLevel((values[i] - lowest) * inverse_scale, 0, top);
      const float weighted_level = weights[i] * levels[i];
      sums.w += weights[i];
      sums.x += weights[i] * values[i];
      sums.l += weighted_level;
      sums.ll += weighted_level * levels[i];
      sums.xl += weighted_level * values[i];
    }
    AffineFit fit;
    if (!SolveAffine(sums, sign, fit)) continue;
    float error = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const float difference = fit.scale * levels[i] + fit.minimum - values[i];
      error += weights[i] * difference * difference;
    }
    if (error >= best_error) continue;
    best_error = error;
    best = fit;
  }
  return best;
}

}  // namespace autoglm
