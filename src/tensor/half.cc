#include "tensor/half.h"

#include <bit>
#include <cmath>

namespace autoglm {
namespace {

constexpr uint32_t kInfinity = 0x7f800000;
constexpr float kHalfOverflow = 65520.0f;   // halfway between the largest half and the next step: rounds to infinity
constexpr float kHalfNormalMin = 0x1p-14f;  // below lie steps of 2^-24
constexpr float kSubnormalShift = 0.5f;     // a float32 of this size has steps of 2^-24, too

// Drops the lowest `num_bits` to the nearest, ties to even. A carry into the exponent is the right result.
uint32_t RoundBits(uint32_t bits, int num_bits) {
  const uint32_t last_kept = (bits >> num_bits) & 1;
  return (bits + (1u << (num_bits - 1)) - 1 + last_kept) >> num_bits;
}

}  // namespace

float HalfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 31;
  const uint32_t mantissa = half & 1023;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | (exponent == 31 ? kInfinity : (exponent + 112) << 23) | (mantissa << 13));
}

float Bf16ToFloat(uint16_t bf16) { return std::bit_cast<float>(static_cast<uint32_t>(bf16) << 16); }

uint16_t FloatToHalf(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  const float magnitude = std::fabs(value);
  if (std::isnan(value)) return sign | 0x7e00;
  if (magnitude >= kHalfOverflow) return sign | 0x7c00;
  if (magnitude < kHalfNormalMin) {
    // The addition rounds to the step.
    const auto steps = std::bit_cast<uint32_t>(magnitude + kSubnormalShift) - std::bit_cast<uint32_t>(kSubnormalShift);
    return static_cast<uint16_t>(sign | steps);
  }
  const uint32_t rebased = std::bit_cast<uint32_t>(magnitude) - (112u << 23);
  return static_cast<uint16_t>(sign | RoundBits(rebased, 13));
}

uint16_t FloatToBf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>((bits >> 16) | 0x40);  // quiet: rounding could make it infinite
  return static_cast<uint16_t>(RoundBits(bits, 16));
}

}  // namespace autoglm
