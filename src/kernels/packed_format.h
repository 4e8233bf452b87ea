#pragma once

#include <cstdint>

namespace autoglm {

// The rows of a weight matrix, 16 to a panel, side by side, so that one 64-byte line holds 4 (or 2, or 1) consecutive
// columns of 16 rows: one zmm, two ymm, no horizontal sums. A panel is one sequential stream over the columns k.
//
//   kQ4   per 32 k: 16 f16 scales, then 4 lines [j][16 rows][4 bytes]; low nibbles k = 4j + i, high nibbles k = 16 + 4j + i;
//         value (q - 8) * scale                                                                     288 bytes
//   kQ4M  as kQ4 with 16 f16 minimums after the scales; value q * scale + minimum                   320 bytes
//   kQ8   per 32 k: 16 f16 scales, then 8 lines [j][16 rows][4 bytes], k = 4j + i; value (u - 128) * scale   544 bytes
//   kF16  per k: 16 f16                                                                              32 bytes
//   kBf16 per 2 k: [16 rows][2] bf16                                                                 64 bytes
//   kF32  per k: 16 f32                                                                              64 bytes
//
// Rows beyond the matrix are zero. kF16, kBf16 and kF32 pad k to an even number with zeros.
enum class PackedFormat { kQ4, kQ4M, kQ8, kF16, kBf16, kF32 };

inline constexpr int64_t kPanelRows = 16;
inline constexpr int64_t kGroupColumns = 32;

[[gnu::always_inline]] constexpr bool IsQuantized(PackedFormat format) {
  return format == PackedFormat::kQ4 || format == PackedFormat::kQ4M || format == PackedFormat::kQ8;
}

// Bytes of one group of 32 columns of a quantised panel.
[[gnu::always_inline]] constexpr int64_t GroupBytes(PackedFormat format) {
  switch (format) {
    case PackedFormat::kQ4:
      return 32 + 256;
    case PackedFormat::kQ4M:
      return 64 + 256;
    case PackedFormat::kQ8:
      return 32 + 512;
    default:
      return 0;
  }
}

// Bytes of one whole panel.
[[gnu::always_inline]] constexpr int64_t PanelBytes(PackedFormat format, int64_t columns) {
  if (IsQuantized(format)) return columns / kGroupColumns * GroupBytes(format);
  const int64_t even = (columns + 1) / 2 * 2;
  return even * kPanelRows * (format == PackedFormat::kF32 ? 4 : 2);
}

}  // namespace autoglm
