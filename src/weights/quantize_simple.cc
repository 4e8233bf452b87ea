// Blocks of 32 values with one scale: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL.
#include <algorithm>
#include <array>
#include <cstring>

#include "weights/quant_blocks.h"
#include "weights/quantize_blocks.h"
#include "weights/quantize_fit.h"

namespace autoglm {
namespace {

using Levels = std::array<uint8_t, kBlock>;  // as stored: 0 is the lowest

void StoreNibbles(const Levels& levels, std::byte* nibbles) {
  for (size_t j = 0; j < kBlock / 2; ++j) {
    nibbles[j] = static_cast<std::byte>((levels[j] & 15) | (levels[j + kBlock / 2] & 15) << 4);
  }
}

void StoreFifthBits(const Levels& levels, std::byte* bits) {
  uint32_t packed = 0;
  for (size_t j = 0; j < kBlock; ++j) packed |= static_cast<uint32_t>(levels[j] >> 4) << j;
  std::memcpy(bits, &packed, sizeof(packed));
}

float LargestByMagnitude(std::span<const float> values) {
  float largest = 0;
  for (const float value : values) {
    if (std::fabs(value) > std::fabs(largest)) largest = value;
  }
  return largest;
}

// (value - offset) * inverse_scale + zero_level to the nearest level, halves upwards.
Levels RoundUpLevels(std::span<const float> values, float offset, float inverse_scale, int zero_level, int highest_level) {
  const float rounding = static_cast<float>(zero_level) + 0.5f;
  Levels levels;
  for (size_t j = 0; j < kBlock; ++j) {
    const float level = (values[j] - offset) * inverse_scale + rounding;
    levels[j] = static_cast<uint8_t>(std::clamp(level, 0.0f, static_cast<float>(highest_level)));
  }
  return levels;
}

// Rescaled values and their weights, for a search of scales.
struct FitInput {
  FitInput(std::span<const float> block, std::span<const float> importance, Emphasis emphasis) : exponent(ExponentOf(block)) {
    Rescale(block, exponent, values);
    FillWeights(values, importance, MeanSquare(values), emphasis, weights);
  }

  int exponent;
  std::array<float, kBlock> values;
  std::array<float, kBlock> weights;
};

template <int kZeroLevel>
float FitSymmetricScale(std::span<const float> values, std::span<const float> importance) {
  const FitInput input(values, importance, Emphasis::kSquare);
  return std::ldexp(FitScale(input.values, input.weights, SymmetricTargets<kZeroLevel>(), NearestSymmetric<kZeroLevel>),
                    input.exponent);
}

// Levels -kZeroLevel to kZeroLevel - 1, stored with kZeroLevel added. Without importance the value furthest from zero gets the
// lowest level exactly, whatever its sign: the side of zero with one level more.
template <int kZeroLevel>
Levels QuantizeSymmetric(std::span<const float> values, std::span<const float> importance, std::byte* scale_at) {
  const float scale =
      importance.empty() ? LargestByMagnitude(values) / -kZeroLevel : FitSymmetricScale<kZeroLevel>(values, importance);
  const float stored = StoreHalf(scale, scale_at);
  const float used = importance.empty() && std::fabs(scale) <= kHalfMax ? scale : stored;
  return RoundUpLevels(values, 0, InverseOf(used, stored), kZeroLevel, 2 * kZeroLevel - 1);
}

// Levels 0 to kHighestLevel above a minimum.
template <int kHighestLevel>
Levels QuantizeAffine(std::span<const float> values, std::span<const float> importance, std::byte* scale_at) {
  std::byte* minimum_at = scale_at + 2;
  if (importance.empty()) {
    const auto [least, most] = std::ranges::minmax(values);
    const float scale = std::fmin((most - least) / kHighestLevel, kHalfMax);
    const float minimum = std::clamp(least, -kHalfMax, kHalfMax);
    StoreHalf(minimum, minimum_at);
    return RoundUpLevels(values, minimum, InverseOf(scale, StoreHalf(scale, scale_at)), 0, kHighestLevel);
  }
  const FitInput input(values, importance, Emphasis::kSquare);
  const AffineFit fit = FitAffine(input.values, input.weights, kHighestLevel, MinimumSign::kAny);
  const float minimum = StoreHalf(std::ldexp(fit.minimum, input.exponent), minimum_at);
  const float scale = StoreHalf(std::ldexp(fit.scale, input.exponent), scale_at);
  return RoundUpLevels(values, minimum, InverseOf(scale, scale), 0, kHighestLevel);
}

void QuantizeQ4_0(std::span<const float> values, std::span<const float> importance, std::byte* block) {
  StoreNibbles(QuantizeSymmetric<8>(values, importance, block), block + 2);
}

void QuantizeQ5_0(std::span<const float> values, std::span<const float> importance, std::byte* block) {
  const Levels levels = QuantizeSymmetric<16>(values, importance, block);
  StoreFifthBits(levels, block + 2);
  StoreNibbles(levels, block + 6);
}

void QuantizeQ4_1(std::span<const float> values, std::span<const float> importance, std::byte* block) {
  StoreNibbles(QuantizeAffine<15>(values, importance, block), block + 4);
}

void QuantizeQ5_1(std::span<const float> values, std::span<const float> importance, std::byte* block) {
  const Levels levels = QuantizeAffine<31>(values, importance, block);
  StoreFifthBits(levels, block + 4);
  StoreNibbles(levels, block + 8);
}

void QuantizeQ8_0(std::span<const float> values, std::span<const float>, std::byte* block) {
  const float scale = std::fmin(std::fabs(LargestByMagnitude(values)) / 127.0f, kHalfMax);
  const float inverse_scale = InverseOf(scale, StoreHalf(scale, block));
  for (size_t j = 0; j < kBlock; ++j) {
    const float level = std::clamp(std::round(values[j] * inverse_scale), -127.0f, 127.0f);
    block[2 + j] = static_cast<std::byte>(static_cast<int8_t>(level));
  }
}

// Four halvings of the levels: `boundaries[i]` lies between levels i and i + 1.
size_t NearestIq4NlIndex(float value) {
  static constexpr std::array<float, 15> kBoundaries = [] {
    std::array<float, 15> boundaries{};
    for (size_t i = 0; i < 15; ++i) boundaries[i] = static_cast<float>(kIq4NlLevels[i] + kIq4NlLevels[i + 1]) / 2;
    return boundaries;
  }();
  size_t index = 0;
  for (const size_t half : {8, 4, 2, 1}) index += value >= kBoundaries[index + half - 1] ? half : 0;
  return index;
}

float NearestIq4NlLevel(float value) { return kIq4NlLevels[NearestIq4NlIndex(value)]; }

// The largest value lands near one end of the levels or near the other.
constexpr std::array<float, 30> kIq4NlTargets = [] {
  std::array<float, 30> targets{};
  for (int i = 0; i < 15; ++i) {
    targets[i] = static_cast<float>(kIq4NlLevels.front() + i - 7);
    targets[15 + i] = static_cast<float>(kIq4NlLevels.back() + i - 7);
  }
  return targets;
}();

void QuantizeIq4Nl(std::span<const float> values, std::span<const float> importance, std::byte* block) {
  const FitInput input(values, importance, Emphasis::kMagnitude);
  const float fit = FitScale(input.values, input.weights, kIq4NlTargets, NearestIq4NlLevel);
  const float scale = StoreHalf(std::ldexp(fit, input.exponent), block);
  const float inverse_scale = InverseOf(scale, scale);
  Levels levels;
  for (size_t j = 0; j < kBlock; ++j) levels[j] = static_cast<uint8_t>(NearestIq4NlIndex(values[j] * inverse_scale));
  StoreNibbles(levels, block + 2);
}

}  // namespace

BlockQuantizer FindSimpleBlockQuantizer(DType type) {
  switch (type) {
    case DType::kQ4_0:
      return QuantizeQ4_0;
    case DType::kQ4_1:
      return QuantizeQ4_1;
    case DType::kQ5_0:
      return QuantizeQ5_0;
    case DType::kQ5_1:
      return QuantizeQ5_1;
    case DType::kQ8_0:
      return QuantizeQ8_0;
    case DType::kIQ4_NL:
      return QuantizeIq4Nl;
    default:
      return nullptr;
  }
}

}  // namespace autoglm
