// Super-blocks of 256 values, whose groups have small scales of their own: Q4_K, Q5_K, Q6_K.
#include <algorithm>
#include <array>
#include <cstring>

#include "weights/quant_blocks.h"
#include "weights/quantize_blocks.h"
#include "weights/quantize_fit.h"

namespace autoglm {
namespace {

using Levels = std::array<uint8_t, kSuperBlock>;  // as stored: 0 is the lowest
constexpr size_t kGroupOfQ6K = kSuperBlock / kGroupsOfQ6K;
constexpr int kHighestSixBits = 63;

// A super-block's rescaled values and their weights.
struct SuperBlock {
  SuperBlock(std::span<const float> source, std::span<const float> given_importance)
      : importance(given_importance), exponent(ExponentOf(source)) {
    Rescale(source, exponent, values);
    mean_square = MeanSquare(values);
  }

  std::span<const float> Group(size_t begin, size_t size) const { return std::span(values).subspan(begin, size); }
  std::span<const float> GroupImportance(size_t begin, size_t size) const {
    return importance.empty() ? importance : importance.subspan(begin, size);
  }

  std::span<const float> importance;
  int exponent;
  std::array<float, kSuperBlock> values;
  float mean_square = 0;
};

float Sum(std::span<const float> values) {
  float sum = 0;
  for (const float value : values) sum += value;
  return sum;
}

float NearestSixBits(float value) { return RoundToLevel(value, 0, kHighestSixBits); }

// Parts of a scale of the whole super-block, which is stored as a half at `at`.
std::array<int, kGroupsOfK> StoreSixBitParts(std::span<const float, kGroupsOfK> parts, std::span<const float> weights,
                                             int exponent, std::byte* at) {
  const float fit = FitScale(parts, weights, TargetsAround<kHighestSixBits>(), NearestSixBits);
  const float scale = StoreHalf(std::ldexp(fit, exponent), at);
  const float inverse_scale = InverseOf(scale, scale);
  std::array<int, kGroupsOfK> levels;
  for (size_t i = 0; i < kGroupsOfK; ++i) {
    levels[i] = static_cast<int>(NearestSixBits(std::ldexp(parts[i], exponent) * inverse_scale));
  }
  return levels;
}

std::array<GroupScale, kGroupsOfK> StoreGroupScales(const SuperBlock& source, int highest_level, std::byte* block) {
  std::array<float, kGroupsOfK> scales;
  std::array<float, kGroupsOfK> minimums;  // below zero: what is taken off
  std::array<float, kGroupsOfK> group_weights;
  std::array<float, kBlock> weights;
  for (size_t i = 0; i < kGroupsOfK; ++i) {
    const auto values = source.Group(i * kBlock, kBlock);
    FillWeights(values, source.GroupImportance(i * kBlock, kBlock), source.mean_square, Emphasis::kMagnitude, weights);
    const AffineFit fit = FitAffine(values, weights, highest_level, MinimumSign::kNeverAbove0);
    scales[i] = fit.scale;
    minimums[i] = -fit.minimum;
    group_weights[i] = Sum(weights);
  }

  const auto scale_levels = StoreSixBitParts(scales, group_weights, source.exponent, block);
  const auto minimum_levels = StoreSixBitParts(minimums, group_weights, source.exponent, block + 2);
  std::array<GroupScale, kGroupsOfK> groups;
  for (size_t i = 0; i < kGroupsOfK; ++i) groups[i] = {.scale = scale_levels[i], .minimum = minimum_levels[i]};
  PackGroupScales(groups, std::span<std::byte, kScalesOfKBytes>(block + 4, kScalesOfKBytes));
  return groups;
}

float ReadHalf(const std::byte* at) {
  uint16_t half;
  std::memcpy(&half, at, sizeof(half));
  return HalfToFloat(half);
}

// Scales and minimums are stored; each value gets the level nearest to it under those.
Levels QuantizeGroups(std::span<const float> values, std::span<const float> importance, int highest_level, std::byte* block) {
  const auto groups = StoreGroupScales(SuperBlock(values, importance), highest_level, block);
  const float block_scale = ReadHalf(block);
  const float block_minimum = ReadHalf(block + 2);
  Levels levels{};
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const GroupScale group = groups[i / kBlock];
    const float scale = block_scale * static_cast<float>(group.scale);
    const float minimum = block_minimum * static_cast<float>(group.minimum);
    if (scale == 0) continue;
    levels[i] = static_cast<uint8_t>(RoundToLevel((values[i] + minimum) / scale, 0, static_cast<float>(highest_level)));
  }
  return levels;
}

// Two groups share 32 bytes, the even one the low halves.
void StoreGroupNibbles(const Levels& levels, std::byte* nibbles) {
  for (size_t pair = 0; pair < kGroupsOfK / 2; ++pair) {
    const uint8_t* even = levels.data() + pair * 2 * kBlock;
    for (size_t j = 0; j < kBlock; ++j) {
      nibbles[pair * kBlock + j] = static_cast<std::byte>((even[j] & 15) | (even[j + kBlock] & 15) << 4);
    }
  }
}

void QuantizeQ4K(std::span<const float> values, std::span<const float> importance, std::byte* block) {
  StoreGroupNibbles(QuantizeGroups(values, importance, 15, block), block + 16);
}

void QuantizeQ5K(std::span<const float> values, std::span<const float> importance, std::byte* block) {
  const Levels levels = QuantizeGroups(values, importance, 31, block);
  std::byte* fifth_bits = block + 16;
  for (size_t j = 0; j < kBlock; ++j) {
    int bits = 0;
    for (size_t group = 0; group < kGroupsOfK; ++group) bits |= levels[group * kBlock + j] >> 4 << group;
    fifth_bits[j] = static_cast<std::byte>(bits);
  }
  StoreGroupNibbles(levels, fifth_bits + kBlock);
}

std::array<float, kGroupsOfQ6K> FitQ6KScales(const SuperBlock& source) {
  std::array<float, kGroupsOfQ6K> scales;
  std::array<float, kGroupOfQ6K> weights;
  for (size_t i = 0; i < kGroupsOfQ6K; ++i) {
    const auto values = source.Group(i * kGroupOfQ6K, kGroupOfQ6K);
    FillWeights(values, source.GroupImportance(i * kGroupOfQ6K, kGroupOfQ6K), source.mean_square, Emphasis::kSquare, weights);
    scales[i] = FitScale(values, weights, SymmetricTargets<32>(), NearestSymmetric<32>);
  }
  return scales;
}

// As dequantize.cc reads them.
void StoreQ6KLevels(const Levels& levels, std::byte* block) {
  std::byte* upper_bits = block + 128;
  for (size_t half = 0; half < 2; ++half) {
    const uint8_t* quarters = levels.data() + half * 128;
    for (size_t j = 0; j < kBlock; ++j) {
      const std::array<int, 4> q = {quarters[j], quarters[j + kBlock], quarters[j + 2 * kBlock], quarters[j + 3 * kBlock]};
      block[half * 64 + j] = static_cast<std::byte>((q[0] & 15) | (q[2] & 15) << 4);
      block[half * 64 + kBlock + j] = static_cast<std::byte>((q[1] & 15) | (q[3] & 15) << 4);
      upper_bits[half * kBlock + j] = static_cast<std::byte>(q[0] >> 4 | q[1] >> 4 << 2 | q[2] >> 4 << 4 | q[3] >> 4 << 6);
    }
  }
}

void QuantizeQ6K(std::span<const float> values, std::span<const float> importance, std::byte* block) {
  const SuperBlock source(values, importance);
  const auto scales = FitQ6KScales(source);
  const float largest = *std::ranges::max_element(scales, {}, [](float scale) { return std::fabs(scale); });
  // Divided by -128, the level that int8 has on one side only.
  const float block_scale = StoreHalf(std::ldexp(largest / -128.0f, source.exponent), block + 208);
  const float inverse_scale = InverseOf(block_scale, block_scale);

  Levels levels;
  for (size_t i = 0; i < kGroupsOfQ6K; ++i) {
    const float part = RoundToLevel(std::ldexp(scales[i], source.exponent) * inverse_scale, -128, 127);
    block[192 + i] = static_cast<std::byte>(static_cast<int8_t>(part));
    const float scale = block_scale * part;
    for (size_t j = i * kGroupOfQ6K; j < (i + 1) * kGroupOfQ6K; ++j) {
      const float level = scale == 0 ? 0 : NearestSymmetric<32>(values[j] / scale);
      levels[j] = static_cast<uint8_t>(level + 32);
    }
  }
  StoreQ6KLevels(levels, block);
}

}  // namespace

BlockQuantizer FindSuperBlockQuantizer(DType type) {
  switch (type) {
    case DType::kQ4_K:
      return QuantizeQ4K;
    case DType::kQ5_K:
      return QuantizeQ5K;
    case DType::kQ6_K:
      return QuantizeQ6K;
    default:
      return nullptr;
  }
}

}  // namespace autoglm
