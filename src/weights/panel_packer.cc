#include "weights/panel_packer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include "base/check.h"
#include "kernels/kernel_table.h"
#include "weights/dequantize.h"
#include "weights/quant_blocks.h"

// Packing moves four weights at a time, as the bytes of one 32-bit word: the four columns that a row has in one line of a panel.
namespace autoglm {
namespace {

constexpr uint32_t kLowNibbles = 0x0f0f0f0f;

uint32_t Load4(const std::byte* bytes) {
  uint32_t word;
  std::memcpy(&word, bytes, 4);
  return word;
}
void Store4(std::byte* bytes, uint32_t word) { std::memcpy(bytes, &word, 4); }

// A row's place in line `line` of a group.
std::byte* InLine(std::byte* lines, int64_t line, int64_t row) { return lines + line * 64 + row * 4; }

// ---- Blocks of 32 columns (ggml-common.h): d, [m], [fifth bits], values.

struct SmallBlock {
  int64_t bytes;
  int64_t values_at;
  int64_t num_lines;  // of 4 bytes a row: 4 for nibbles, 8 for bytes
  bool has_minimum = false;
  int64_t fifth_bits_at = 0;  // 0: none
  uint32_t flip = 0;          // turns int8 into unsigned bytes with zero point 128
};

SmallBlock SmallBlockOf(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
    case DType::kIQ4_NL:
      return {.bytes = 18, .values_at = 2, .num_lines = 4};
    case DType::kQ4_1:
      return {.bytes = 20, .values_at = 4, .num_lines = 4, .has_minimum = true};
    case DType::kQ5_0:
      return {.bytes = 22, .values_at = 6, .num_lines = 4, .fifth_bits_at = 2};
    case DType::kQ5_1:
      return {.bytes = 24, .values_at = 8, .num_lines = 4, .has_minimum = true, .fifth_bits_at = 4};
    default:
      return {.bytes = 34, .values_at = 2, .num_lines = 8, .flip = 0x80808080u};
  }
}

// Bit k of the file's word becomes bit k / 4 of byte k % 4.
uint32_t SpreadFifthBits(uint32_t bits) {
  uint32_t spread = 0;
  for (int line = 0; line < 8; ++line) {
    // Bits 0..3 of a nibble go to bits 0, 8, 16, 24: the product has a copy of the nibble shifted by 7 for each of them.
    const uint32_t nibble = bits >> (4 * line) & 15;
    spread |= (nibble * 0x204081u & 0x01010101u) << line;
  }
  return spread;
}

// A GGUF row keeps nibbles so that byte j of a block holds columns j (low) and j + 16 (high): exactly a panel's pairing.
void PackSmallBlock(const SmallBlock& layout, const std::byte* block, int64_t row, std::byte* group, std::byte* lines) {
  std::memcpy(group + row * 2, block, 2);
  if (layout.has_minimum) std::memcpy(group + 32 + row * 2, block + 2, 2);
  for (int64_t line = 0; line < layout.num_lines; ++line) {
    Store4(InLine(lines, line, row), Load4(block + layout.values_at + line * 4) ^ layout.flip);
  }
  if (layout.fifth_bits_at > 0) Store4(InLine(lines, 4, row), SpreadFifthBits(Load4(block + layout.fifth_bits_at)));
}

// ---- Blocks of 256 columns in 8 groups (ggml-quants.c).

constexpr int64_t kGroupsPerBlock = 8;

// Groups 2c and 2c + 1 share 32 bytes: low and high nibbles.
void PackGroupNibbles(const std::byte* bytes, int shift, int64_t row, std::byte* lines) {
  for (int64_t line = 0; line < 4; ++line) {
    const uint32_t low = Load4(bytes + line * 4) >> shift & kLowNibbles;
    const uint32_t high = Load4(bytes + 16 + line * 4) >> shift & kLowNibbles;
    Store4(InLine(lines, line, row), low | high << 4);
  }
}

// d, dmin, scales[12], [qh 32], qs[128].
template <bool kHasFifthBits>
void PackQ45K(const std::byte* block, int64_t row, std::byte* panel, int64_t first_group) {
  constexpr PanelParts kParts = PartsOf(kHasFifthBits ? PackedFormat::kQ5K : PackedFormat::kQ4K);
  const std::byte* fifth_bits = block + 16;
  const std::byte* nibbles = fifth_bits + (kHasFifthBits ? 32 : 0);
  std::byte* header = panel + kParts.BlockAt(first_group);
  std::memcpy(header + row * 2, block, 2);
  std::memcpy(header + 32 + row * 2, block + 2, 2);
  const std::span<const std::byte, kScalesOfKBytes> packed_scales(block + 4, kScalesOfKBytes);
  for (int g = 0; g < kGroupsPerBlock; ++g) {
    std::byte* group = panel + kParts.GroupAt(first_group + g);
    const GroupScale scale = UnpackGroupScale(packed_scales, g);
    group[row] = static_cast<std::byte>(scale.scale);
    group[16 + row] = static_cast<std::byte>(scale.minimum);
    std::byte* lines = group + kParts.group_header;
    PackGroupNibbles(nibbles + g / 2 * 32, g % 2 * 4, row, lines);
    if constexpr (kHasFifthBits) {
      uint32_t spread = 0;
      for (int line = 0; line < 8; ++line) spread |= (Load4(fifth_bits + line * 4) >> g & 0x01010101u) << line;
      Store4(InLine(lines, 4, row), spread);
    }
  }
}

// ql[128], qh[64], scales[16], d.
void PackQ6K(const std::byte* block, int64_t row, std::byte* panel, int64_t first_group) {
  constexpr PanelParts kParts = PartsOf(PackedFormat::kQ6K);
  const std::byte* upper_bits = block + 128;
  const std::byte* scales = block + 192;
  std::memcpy(panel + kParts.BlockAt(first_group) + row * 2, block + 208, 2);
  for (int g = 0; g < kGroupsPerBlock; ++g) {
    // A half of the block has four groups: two share 32 bytes each, all four share the upper bits.
    const int half = g / 4;
    const int part = g % 4;
    std::byte* group = panel + kParts.GroupAt(first_group + g);
    group[row] = scales[2 * g];
    group[16 + row] = scales[2 * g + 1];
    std::byte* lines = group + kParts.group_header;
    PackGroupNibbles(block + half * 64 + part % 2 * 32, part / 2 * 4, row, lines);
    for (int upper = 0; upper < 2; ++upper) {
      uint32_t spread = 0;
      for (int line = 0; line < 4; ++line) {
        spread |= (Load4(upper_bits + half * 32 + upper * 16 + line * 4) >> (2 * part) & 0x03030303u) << (2 * line);
      }
      Store4(InLine(lines, 4 + upper, row), spread);
    }
  }
}

void PackQuantizedRow(const TensorView& tensor, PackedFormat format, const std::byte* bytes, int64_t row, std::byte* panel) {
  const PanelParts parts = PartsOf(format);
  const int64_t num_groups = tensor.num_columns() / kGroupColumns;
  const int64_t block_bytes = Info(tensor.dtype).block_bytes;
  if (parts.groups_per_block == 1) {
    const SmallBlock layout = SmallBlockOf(tensor.dtype);
    for (int64_t g = 0; g < num_groups; ++g) {
      std::byte* group = panel + parts.GroupAt(g);
      PackSmallBlock(layout, bytes + g * block_bytes, row, group, group + parts.group_header);
    }
    return;
  }
  for (int64_t g = 0; g < num_groups; g += kGroupsPerBlock) {
    const std::byte* block = bytes + g / kGroupsPerBlock * block_bytes;
    if (format == PackedFormat::kQ6K) PackQ6K(block, row, panel, g);
    if (format == PackedFormat::kQ5K) PackQ45K<true>(block, row, panel, g);
    if (format == PackedFormat::kQ4K) PackQ45K<false>(block, row, panel, g);
  }
}

void PackFloatRow(const TensorView& tensor, PackedFormat format, const std::byte* bytes, int64_t row, std::byte* panel) {
  const int64_t element = format == PackedFormat::kF32 ? 4 : 2;
  for (int64_t k = 0; k < tensor.num_columns(); ++k) {
    const int64_t at = format == PackedFormat::kBf16 ? ((k / 2 * kPanelRows + row) * 2 + k % 2) : k * kPanelRows + row;
    std::memcpy(panel + at * element, bytes + k * element, static_cast<size_t>(element));
  }
}

}  // namespace

std::optional<PackedFormat> PanelFormatOf(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
      return PackedFormat::kQ4;
    case DType::kQ4_1:
      return PackedFormat::kQ4M;
    case DType::kQ5_0:
      return PackedFormat::kQ5;
    case DType::kQ5_1:
      return PackedFormat::kQ5M;
    case DType::kQ8_0:
      return PackedFormat::kQ8;
    case DType::kQ4_K:
      return PackedFormat::kQ4K;
    case DType::kQ5_K:
      return PackedFormat::kQ5K;
    case DType::kQ6_K:
      return PackedFormat::kQ6K;
    case DType::kIQ4_NL:
      return PackedFormat::kIq4;
    case DType::kF16:
      return PackedFormat::kF16;
    case DType::kBF16:
      return PackedFormat::kBf16;
    case DType::kF32:
      return PackedFormat::kF32;
  }
  return std::nullopt;
}

void PackPanel(const TensorView& tensor, int64_t first_row, int64_t num_rows, std::byte* panel) {
  const std::optional<PackedFormat> format = PanelFormatOf(tensor.dtype);
  AUTOGLM_CHECK(format.has_value() && num_rows <= kPanelRows);
  const int64_t row_bytes = tensor.row_bytes();
  for (int64_t row = 0; row < num_rows; ++row) {
    const std::byte* bytes = tensor.bytes.data() + (first_row + row) * row_bytes;
    if (IsQuantized(*format)) {
      PackQuantizedRow(tensor, *format, bytes, row, panel);
    } else {
      PackFloatRow(tensor, *format, bytes, row, panel);
    }
  }
}

void PackInt8Panel(const TensorView& tensor, int64_t first_row, int64_t num_rows, std::byte* panel) {
  constexpr PanelParts kParts = PartsOf(PackedFormat::kI8);
  const int64_t columns = tensor.num_columns();
  AUTOGLM_CHECK(columns % kGroupColumns == 0 && num_rows <= kPanelRows);
  std::vector<float> values(static_cast<size_t>(columns));
  for (int64_t row = 0; row < num_rows; ++row) {
    DequantizeRow(tensor, first_row + row, values);
    float largest = 0;
    for (const float value : values) largest = std::max(largest, std::fabs(value));
    const float scale = largest / 127;
    const float inverse = largest > 0 ? 127 / largest : 0;
    std::memcpy(panel + row * 4, &scale, 4);
    for (int64_t k = 0; k < columns; ++k) {
      const auto q = static_cast<int>(std::nearbyint(std::clamp(values[static_cast<size_t>(k)] * inverse, -127.0f, 127.0f)));
      std::byte* lines = panel + kParts.GroupAt(k / kGroupColumns);
      InLine(lines, k % kGroupColumns / 4, row)[k % 4] = static_cast<std::byte>(q + 128);
    }
  }
}

void PackInt16Panel(const TensorView& tensor, int64_t first_row, int64_t num_rows, std::byte* panel) {
  const int64_t columns = tensor.num_columns();
  AUTOGLM_CHECK(tensor.dtype == DType::kF16);
  std::vector<std::byte> halves(static_cast<size_t>(PanelBytes(PackedFormat::kF16, columns)));
  PackPanel(tensor, first_row, num_rows, halves.data());
  GetKernels(DetectIsa()).pack_int16(halves.data(), columns, panel);  // the same bits on every path
}

}  // namespace autoglm
