#include "weights/quantize_blocks.h"

#include <algorithm>

namespace autoglm {
namespace {

void FillOwnWeights(std::span<const float> values, Emphasis emphasis, std::span<float> weights) {
  if (emphasis == Emphasis::kSquare) {
    std::ranges::transform(values, weights.begin(), [](float value) { return value * value; });
    return;
  }
  const float root_mean_square = std::sqrt(MeanSquare(values));
  std::ranges::transform(values, weights.begin(), [&](float value) { return root_mean_square + std::fabs(value); });
}

}  // namespace

int ExponentOf(std::span<const float> values) {
  float largest = 0;
  for (const float value : values) largest = std::fmax(largest, std::fabs(value));
  int exponent = 0;
  std::frexp(largest, &exponent);
  return exponent;
}

void Rescale(std::span<const float> values, int exponent, std::span<float> out) {
  const double factor = std::ldexp(1.0, -exponent);  // a float has no room for the inverse of the smallest ones
  std::ranges::transform(values, out.begin(), [factor](float value) { return static_cast<float>(value * factor); });
}

float MeanSquare(std::span<const float> values) {
  float sum = 0;
  for (const float value : values) sum += value * value;
  return sum / static_cast<float>(values.size());
}

void FillWeights(std::span<const float> values, std::span<const float> importance, float mean_square, Emphasis emphasis,
                 std::span<float> weights) {
  if (std::ranges::none_of(importance, [](float weight) { return weight > 0; })) {
    FillOwnWeights(values, emphasis, weights);
    return;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    weights[i] = importance[i] * std::sqrt(2 * mean_square + values[i] * values[i]);
  }
}

}  // namespace autoglm
