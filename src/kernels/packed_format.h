#pragma once

#include <cstdint>

namespace autoglm {

// The rows of a weight matrix, 16 to a panel, side by side, so that one 64-byte line holds 4 (or 2, or 1) consecutive
// columns of 16 rows: one zmm, two ymm, no horizontal sums. A panel is one sequential stream over the columns k.
//
// Quantised formats go by groups of 32 k. A line of nibbles j = 0..3 is [16 rows][4 bytes i]: low nibbles k = 4j + i, high
// nibbles k = 16 + 4j + i. A line of bytes j = 0..7: k = 4j + i. A line of fifth bits: bit j of byte i stands for k = 4j + i. Two
// lines of upper bits: bits 2j and 2j + 1 of byte i of line h stand for k = 16h + 4j + i.
//
//          group                                                              value              bytes a group of 16 rows
//   kQ4    16 f16 scales, 4 lines of nibbles                                  (q - 8) * scale                    288
//   kQ4M   16 f16 scales, 16 f16 minimums, 4 lines of nibbles                 q * scale + minimum                320
//   kIq4   as kQ4; a nibble is a place in kIq4Values                          kIq4Values[q] * scale              288
//   kQ5    16 f16 scales, 4 lines of nibbles, 1 of fifth bits                 (q - 16) * scale                   352
//   kQ5M   16 f16 scales, 16 f16 minimums, 4 lines, 1 of fifth bits           q * scale + minimum                384
//   kQ8    16 f16 scales, 8 lines of bytes u                                  (u - 128) * scale                  544
//   kI8    8 lines of bytes u; the panel begins with 16 f32 scales            (u - 128) * scale of the row       512
//   every 256 k (8 groups) begin with 16 f16 d (and 16 f16 dmin):
//   kQ4K   16 u8 scales s, 16 u8 minimums m, 4 lines of nibbles               q * (d * s) - dmin * m             288 + 64/8
//   kQ5K   the same and 1 line of fifth bits                                  q * (d * s) - dmin * m             352 + 64/8
//   kQ6K   16 i8 scales s of k < 16, 16 of k >= 16, 4 lines of nibbles, 2 of upper bits
//                                                                             (q - 32) * (d * s)                 416 + 32/8
//   kF16   per k: 16 f16                                                                                          32 a column
//   kI16   per 2 k: [16 rows][2] i16; the panel begins with 16 i8 exponents e a group, up to a multiple of 64 bytes, and ends
//   with
//          a whole group           q * 2^(e - 12)                                                                1040
//   kBf16  per 2 k: [16 rows][2] bf16                                                                             32 a column
//   kF32   per k: 16 f32                                                                                          64 a column
//
// Rows beyond the matrix are zero. kF16, kBf16 and kF32 pad k to an even number with zeros, kI16 to
// whole groups. kI16 is F16 made ready for products of 16 bits (PackInt16 in kernel_table.h); the others keep a file's numbers.
enum class PackedFormat { kQ4, kQ4M, kIq4, kQ5, kQ5M, kQ8, kI8, kQ4K, kQ5K, kQ6K, kF16, kI16, kBf16, kF32 };

inline constexpr int64_t kPanelRows = 16;
inline constexpr int64_t kGroupColumns = 32;
// The values that the nibbles of IQ4_NL stand for (ggml-common.h, kvalues_iq4nl).
inline constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

[[gnu::always_inline]] constexpr bool IsQuantized(PackedFormat format) {
  return format != PackedFormat::kF16 && format != PackedFormat::kI16 && format != PackedFormat::kBf16 &&
         format != PackedFormat::kF32;
}

// What quantised formats consist of: value = (u - ZeroPointOf(format)) * scale [+ minimum], u as in the table above.
[[gnu::always_inline]] constexpr bool HasMinimum(PackedFormat format) {
  return format == PackedFormat::kQ4M || format == PackedFormat::kQ5M || format == PackedFormat::kQ4K ||
         format == PackedFormat::kQ5K;
}
[[gnu::always_inline]] constexpr bool HasRowScale(PackedFormat format) { return format == PackedFormat::kI8; }
[[gnu::always_inline]] constexpr bool HasTwoScales(PackedFormat format) { return format == PackedFormat::kQ6K; }
[[gnu::always_inline]] constexpr bool HasBytes(PackedFormat format) {
  return format == PackedFormat::kQ8 || format == PackedFormat::kI8;
}
[[gnu::always_inline]] constexpr bool HasFifthBits(PackedFormat format) {
  return format == PackedFormat::kQ5 || format == PackedFormat::kQ5M || format == PackedFormat::kQ5K;
}
// The offset of the stored numbers (kIq4: of kIq4Values + 128).
[[gnu::always_inline]] constexpr int ZeroPointOf(PackedFormat format) {
  if (HasMinimum(format)) return 0;
  if (format == PackedFormat::kQ4) return 8;
  if (format == PackedFormat::kQ5) return 16;
  return format == PackedFormat::kQ6K ? 32 : 128;
}

// Where the parts of a quantised panel are, in bytes.
struct PanelParts {
  int64_t panel_header = 0;
  int64_t groups_per_block = 1;  // groups behind one block header
  int64_t block_header = 0;
  int64_t group_header = 0;
  int64_t lines_bytes = 0;

  [[gnu::always_inline]] constexpr int64_t group_bytes() const { return group_header + lines_bytes; }
  [[gnu::always_inline]] constexpr int64_t block_bytes() const { return block_header + groups_per_block * group_bytes(); }
  [[gnu::always_inline]] constexpr int64_t BlockAt(int64_t group) const {
    return panel_header + group / groups_per_block * block_bytes();
  }
  [[gnu::always_inline]] constexpr int64_t GroupAt(int64_t group) const {
    return BlockAt(group) + block_header + group % groups_per_block * group_bytes();
  }
};

[[gnu::always_inline]] constexpr PanelParts PartsOf(PackedFormat format) {
  switch (format) {
    case PackedFormat::kQ4:
    case PackedFormat::kIq4:
      return {.group_header = 32, .lines_bytes = 256};
    case PackedFormat::kQ4M:
      return {.group_header = 64, .lines_bytes = 256};
    case PackedFormat::kQ5:
      return {.group_header = 32, .lines_bytes = 320};
    case PackedFormat::kQ5M:
      return {.group_header = 64, .lines_bytes = 320};
    case PackedFormat::kQ8:
      return {.group_header = 32, .lines_bytes = 512};
    case PackedFormat::kI8:
      return {.panel_header = 64, .lines_bytes = 512};
    case PackedFormat::kQ4K:
      return {.groups_per_block = 8, .block_header = 64, .group_header = 32, .lines_bytes = 256};
    case PackedFormat::kQ5K:
      return {.groups_per_block = 8, .block_header = 64, .group_header = 32, .lines_bytes = 320};
    case PackedFormat::kQ6K:
      return {.groups_per_block = 8, .block_header = 32, .group_header = 32, .lines_bytes = 384};
    default:
      return {};
  }
}

// Columns that a quantised matrix must have a multiple of.
[[gnu::always_inline]] constexpr int64_t ColumnMultiple(PackedFormat format) {
  return IsQuantized(format) ? PartsOf(format).groups_per_block * kGroupColumns : 1;
}

// kI16: groups of a panel, and where its lines begin.
[[gnu::always_inline]] constexpr int64_t Int16Groups(int64_t columns) { return (columns + kGroupColumns - 1) / kGroupColumns; }
[[gnu::always_inline]] constexpr int64_t Int16LinesAt(int64_t columns) {
  return (Int16Groups(columns) * kPanelRows + 63) / 64 * 64;
}

// Bytes of one whole panel.
[[gnu::always_inline]] constexpr int64_t PanelBytes(PackedFormat format, int64_t columns) {
  if (IsQuantized(format)) return PartsOf(format).BlockAt(columns / kGroupColumns);
  if (format == PackedFormat::kI16) return Int16LinesAt(columns) + Int16Groups(columns) * kGroupColumns * kPanelRows * 2;
  const int64_t even = (columns + 1) / 2 * 2;
  return even * kPanelRows * (format == PackedFormat::kF32 ? 4 : 2);
}

}  // namespace autoglm
