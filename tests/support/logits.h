#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "base/random.h"

namespace autoglm {

// Normally distributed logits, as a model without an opinion gives them.
inline std::vector<float> RandomLogits(size_t num_logits, float deviation, uint64_t seed) {
  Random random(seed);
  std::vector<float> logits(num_logits);
  for (float& logit : logits) {
    const double radius = std::sqrt(-2 * std::log(1 - random.NextDouble()));
    logit = deviation * static_cast<float>(radius * std::cos(2 * std::numbers::pi * random.NextDouble()));
  }
  return logits;
}

}  // namespace autoglm
