#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>

namespace autoglm {

// Least-squares fits of a few numbers to a grid: what the block quantisers search scales with. Values lie within +-1 and are
// no denormals-only rows (the callers rescale a block first), weights within 0 and 1.

// To the nearest integer, ties to even; |value| below 2^22. Stays a float, and a loop of it vectorises.
inline float RoundToInteger(float value) {
  constexpr float kShift = 0x1.8p23f;  // floats of this size have no fraction
  return value + kShift - kShift;
}

inline float RoundToLevel(float value, float lowest, float highest) { return RoundToInteger(std::clamp(value, lowest, highest)); }

// Levels -kZeroLevel to kZeroLevel - 1.
template <int kZeroLevel>
float NearestSymmetric(float value) {
  return RoundToLevel(value, -kZeroLevel, kZeroLevel - 1);
}

// Where to try the largest value: around a level, up to nearly one away from it.
template <int kLevel>
constexpr std::array<float, 19> TargetsAround() {
  std::array<float, 19> targets{};
  for (int i = 0; i < 19; ++i) targets[static_cast<size_t>(i)] = static_cast<float>(kLevel) + 0.1f * static_cast<float>(i - 9);
  return targets;
}
template <int kZeroLevel>
constexpr std::array<float, 19> SymmetricTargets() {
  return TargetsAround<-kZeroLevel>();
}

// The scale of least error sum(weight * (value - scale * level)^2), where `nearest(value / scale)` is the level of a value.
// Tries the inverse scales `targets[i] / largest value`: each rounds the values to levels, for which the best scale is known in
// closed form, scale = sum(w x l) / sum(w l^2), with the error sum(w x^2) - sum(w x l)^2 / sum(w l^2).
// 0 where all values or all weights are.
template <typename Nearest>
float FitScale(std::span<const float> values, std::span<const float> weights, std::span<const float> targets, Nearest nearest) {
  float largest = 0;
  for (const float value : values) {
    if (std::fabs(value) > std::fabs(largest)) largest = value;
  }
  if (largest == 0) return 0;

  float best_scale = 0;
  float best_gain = 0;  // what the scale takes off the error
  for (const float target : targets) {
    const float inverse_scale = target / largest;
    float sum_xl = 0;
    float sum_ll = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const float level = nearest(values[i] * inverse_scale);
      sum_xl += weights[i] * values[i] * level;
      sum_ll += weights[i] * level * level;
    }
    if (sum_ll > 0 && sum_xl * sum_xl > best_gain * sum_ll) {
      best_scale = sum_xl / sum_ll;
      best_gain = best_scale * sum_xl;
    }
  }
  return best_scale;
}

struct AffineFit {
  float scale = 0;
  float minimum = 0;
};

enum class MinimumSign { kAny, kNeverAbove0 };

// Scale and minimum of least error sum(weight * (value - scale * level - minimum)^2) for levels 0 to `highest_level`.
AffineFit FitAffine(std::span<const float> values, std::span<const float> weights, int highest_level, MinimumSign sign);

}  // namespace autoglm
