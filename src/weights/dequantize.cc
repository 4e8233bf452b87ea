#include "weights/dequantize.h"

#include <cstddef>
#include <cstring>

#include "base/check.h"
#include "tensor/half.h"
#include "weights/quant_blocks.h"

namespace autoglm {
namespace {

uint16_t ReadU16(const std::byte* bytes) {
  uint16_t value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

uint32_t ReadU32(const std::byte* bytes) {
  uint32_t value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

float ReadHalf(const std::byte* bytes) { return HalfToFloat(ReadU16(bytes)); }

int Low(std::byte byte) { return std::to_integer<int>(byte) & 15; }
int High(std::byte byte) { return std::to_integer<int>(byte) >> 4; }
// Bits [shift, shift + count) of a byte.
int Bits(std::byte byte, int shift, int count) { return (std::to_integer<int>(byte) >> shift) & ((1 << count) - 1); }

// Blocks of 32 keep element j in the low half of byte j and element j + 16 in the high half: `value_of(nibble, j)` is called
// with both.
template <typename ValueOf>
void ForEachNibble(const std::byte* nibbles, float* out, ValueOf value_of) {
  for (int j = 0; j < kBlock / 2; ++j) {
    out[j] = value_of(Low(nibbles[j]), j);
    out[j + kBlock / 2] = value_of(High(nibbles[j]), j + kBlock / 2);
  }
}

void DequantizeQ4_0(const std::byte* block, float* out) {
  const float scale = ReadHalf(block);
  ForEachNibble(block + 2, out, [&](int q, int) { return scale * static_cast<float>(q - 8); });
}

void DequantizeQ4_1(const std::byte* block, float* out) {
  const float scale = ReadHalf(block);
  const float minimum = ReadHalf(block + 2);
  ForEachNibble(block + 4, out, [&](int q, int) { return scale * static_cast<float>(q) + minimum; });
}

// Bit j of `fifth_bits` belongs to element j.
int WithFifthBit(int nibble, uint32_t fifth_bits, int j) { return nibble | static_cast<int>(fifth_bits >> j & 1) << 4; }

void DequantizeQ5_0(const std::byte* block, float* out) {
  const float scale = ReadHalf(block);
  const uint32_t fifth_bits = ReadU32(block + 2);
  ForEachNibble(block + 6, out, [&](int q, int j) { return scale * static_cast<float>(WithFifthBit(q, fifth_bits, j) - 16); });
}

void DequantizeQ5_1(const std::byte* block, float* out) {
  const float scale = ReadHalf(block);
  const float minimum = ReadHalf(block + 2);
  const uint32_t fifth_bits = ReadU32(block + 4);
  ForEachNibble(block + 8, out,
                [&](int q, int j) { return scale * static_cast<float>(WithFifthBit(q, fifth_bits, j)) + minimum; });
}

void DequantizeQ8_0(const std::byte* block, float* out) {
  const float scale = ReadHalf(block);
  for (int j = 0; j < kBlock; ++j) out[j] = static_cast<float>(static_cast<int8_t>(block[2 + j])) * scale;
}

void DequantizeIq4Nl(const std::byte* block, float* out) {
  const float scale = ReadHalf(block);
  ForEachNibble(block + 2, out, [&](int q, int) { return scale * static_cast<float>(kIq4NlLevels[static_cast<size_t>(q)]); });
}

// Two groups of 32 share 32 bytes of nibbles, the even group the low halves.
template <typename FifthBitOf>
void DequantizeGroups(const std::byte* block, const std::byte* nibbles, float* out, FifthBitOf fifth_bit_of) {
  const float scale = ReadHalf(block);
  const float minimum = ReadHalf(block + 2);
  const std::span<const std::byte, kScalesOfKBytes> packed(block + 4, kScalesOfKBytes);
  for (int group = 0; group < kGroupsOfK; ++group) {
    const GroupScale parts = UnpackGroupScale(packed, group);
    const float group_scale = scale * static_cast<float>(parts.scale);
    const float group_minimum = minimum * static_cast<float>(parts.minimum);
    const std::byte* bytes = nibbles + group / 2 * kBlock;
    for (int j = 0; j < kBlock; ++j) {
      const int q = Bits(bytes[j], group % 2 * 4, 4) | fifth_bit_of(group, j) << 4;
      out[group * kBlock + j] = group_scale * static_cast<float>(q) - group_minimum;
    }
  }
}

void DequantizeQ4K(const std::byte* block, float* out) {
  DequantizeGroups(block, block + 16, out, [](int, int) { return 0; });
}

void DequantizeQ5K(const std::byte* block, float* out) {
  const std::byte* fifth_bits = block + 16;
  DequantizeGroups(block, fifth_bits + kBlock, out, [&](int group, int j) { return Bits(fifth_bits[j], group, 1); });
}

// Two halves of 128 elements: four quarters of 32 share 64 bytes of nibbles (quarters 0 and 1 the low ones) and 32 bytes of
// upper bits, two for each quarter.
void DequantizeQ6K(const std::byte* block, float* out) {
  const std::byte* scales = block + 192;
  const float scale = ReadHalf(block + 208);
  for (int i = 0; i < kSuperBlock; ++i) {
    const int half = i / 128;
    const int quarter = i / kBlock % 4;
    const int j = i % kBlock;
    const int low = Bits(block[half * 64 + quarter % 2 * kBlock + j], quarter / 2 * 4, 4);
    const int high = Bits(block[128 + half * kBlock + j], quarter * 2, 2);
    const float group_scale = scale * static_cast<float>(static_cast<int8_t>(scales[i / 16]));
    out[i] = group_scale * static_cast<float>((low | high << 4) - 32);
  }
}

void DequantizeBlock(DType dtype, const std::byte* block, float* out) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, block, 4);
      return;
    case DType::kF16:
      *out = ReadHalf(block);
      return;
    case DType::kBF16:
      *out = Bf16ToFloat(ReadU16(block));
      return;
    case DType::kQ4_0:
      return DequantizeQ4_0(block, out);
    case DType::kQ4_1:
      return DequantizeQ4_1(block, out);
    case DType::kQ5_0:
      return DequantizeQ5_0(block, out);
    case DType::kQ5_1:
      return DequantizeQ5_1(block, out);
    case DType::kQ8_0:
      return DequantizeQ8_0(block, out);
    case DType::kQ4_K:
      return DequantizeQ4K(block, out);
    case DType::kQ5_K:
      return DequantizeQ5K(block, out);
    case DType::kQ6_K:
      return DequantizeQ6K(block, out);
    case DType::kIQ4_NL:
      return DequantizeIq4Nl(block, out);
  }
}

}  // namespace

void DequantizeRow(const TensorView& tensor, int64_t row, std::span<float> out) {
  const DTypeInfo& info = Info(tensor.dtype);
  AUTOGLM_CHECK(static_cast<int64_t>(out.size()) == tensor.num_columns() && row >= 0 && row < tensor.num_rows());
  const std::byte* block = tensor.bytes.data() + row * tensor.row_bytes();
  for (int64_t k = 0; k < tensor.num_columns(); k += info.block_elements, block += info.block_bytes) {
    DequantizeBlock(tensor.dtype, block, out.data() + k);
  }
}

}  // namespace autoglm
