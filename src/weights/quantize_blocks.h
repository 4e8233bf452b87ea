#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "tensor/dtype.h"
#include "tensor/half.h"

namespace autoglm {

// Writes one block. `values` has the type's block_elements finite numbers; `importance` is empty or has as many weights within
// 0 and 1, one of them 1. Called by QuantizeRow, which takes care of both.
using BlockQuantizer = void (*)(std::span<const float> values, std::span<const float> importance, std::byte* block);

// nullptr for the types without blocks (F32, F16, BF16). Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL; and Q4_K, Q5_K, Q6_K.
BlockQuantizer FindSimpleBlockQuantizer(DType type);
BlockQuantizer FindSuperBlockQuantizer(DType type);

// The exponent that brings all values within +-1 and the largest to at least 0.5: 0 where all are zero.
int ExponentOf(std::span<const float> values);
// values * 2^-exponent, exact except where it is far below the largest value.
void Rescale(std::span<const float> values, int exponent, std::span<float> out);

// What an error of a large value weighs more than that of a small one, where the caller knows no importance.
enum class Emphasis { kMagnitude, kSquare };
// A weight for each of a group's rescaled values; `mean_square` is that of the block. With importance it is raised for large
// values only where they stand out of the block.
void FillWeights(std::span<const float> values, std::span<const float> importance, float mean_square, Emphasis emphasis,
                 std::span<float> weights);
float MeanSquare(std::span<const float> values);

// Writes a scale as the nearest finite half and returns what a reader will see.
inline float StoreHalf(float value, std::byte* at) {
  const uint16_t half = FloatToHalf(std::fmin(std::fmax(value, -kHalfMax), kHalfMax));
  std::memcpy(at, &half, sizeof(half));
  return HalfToFloat(half);
}

// 1 / scale; 0 for a scale that is stored as zero, whose inverse may be infinite.
inline float InverseOf(float scale, float stored_scale) { return stored_scale == 0 ? 0.0f : 1.0f / scale; }

}  // namespace autoglm
