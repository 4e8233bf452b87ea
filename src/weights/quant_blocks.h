#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/packed_format.h"

namespace autoglm {

// What the block formats of quantised tensors share; layouts: ggml-common.h. Used by dequantize.cc and quantize*.cc.

inline constexpr int kBlock = 32;        // elements of a block of Q4_0 to Q8_0 and IQ4_NL, and of a K block's group
inline constexpr int kSuperBlock = 256;  // elements of a block of Q4_K, Q5_K and Q6_K
inline constexpr int kGroupsOfK = 8;     // of Q4_K and Q5_K, each with its scale and minimum of 6 bits
inline constexpr int kGroupsOfQ6K = 16;  // of 16 elements, each with its scale of 8 bits
inline constexpr int kScalesOfKBytes = 12;

// The 16 values that a nibble of IQ4_NL stands for.
inline constexpr std::array<int8_t, 16> kIq4NlLevels = std::to_array(kIq4Values);

struct GroupScale {
  int scale = 0;    // 0 to 63
  int minimum = 0;  // 0 to 63
};

// Groups 0 to 3 keep their six bits in one byte each; the upper two bits of groups 4 to 7 fill what those bytes leave free.
inline GroupScale UnpackGroupScale(std::span<const std::byte, kScalesOfKBytes> packed, int group) {
  const auto byte = [&](int i) { return std::to_integer<int>(packed[static_cast<size_t>(i)]); };
  if (group < 4) return {.scale = byte(group) & 63, .minimum = byte(group + 4) & 63};
  return {.scale = (byte(group + 4) & 15) | (byte(group - 4) >> 6 << 4),
          .minimum = (byte(group + 4) >> 4) | (byte(group) >> 6 << 4)};
}

inline void PackGroupScales(const std::array<GroupScale, kGroupsOfK>& groups, std::span<std::byte, kScalesOfKBytes> packed) {
  for (size_t i = 0; i < 4; ++i) {
    const GroupScale low = groups[i];
    const GroupScale high = groups[i + 4];
    packed[i] = static_cast<std::byte>(low.scale | (high.scale >> 4 << 6));
    packed[i + 4] = static_cast<std::byte>(low.minimum | (high.minimum >> 4 << 6));
    packed[i + 8] = static_cast<std::byte>((high.scale & 15) | ((high.minimum & 15) << 4));
  }
}

}  // namespace autoglm
