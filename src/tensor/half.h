#pragma once

#include <cstdint>

namespace autoglm {

// IEEE binary16, and bfloat16 (the upper half of a float32), as the bits that files hold.
float HalfToFloat(uint16_t half);
float Bf16ToFloat(uint16_t bf16);

// To the nearest, ties to even. Beyond the format's range lies infinity; a NaN stays a NaN.
uint16_t FloatToHalf(float value);
uint16_t FloatToBf16(float value);

// The largest finite binary16.
inline constexpr float kHalfMax = 65504.0f;

}  // namespace autoglm
