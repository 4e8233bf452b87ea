#include "weights/dequantize.h"

#include <bit>
#include <cstring>

#include "base/check.h"

namespace autoglm {
namespace {

uint16_t ReadU16(const std::byte* bytes) {
  uint16_t value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

void DequantizeNibbles(const std::byte* block, float scale, float zero, float minimum, float* out) {
  for (int j = 0; j < 16; ++j) {
    const auto byte = std::to_integer<int>(block[j]);
    out[j] = (static_cast<float>(byte & 15) - zero) * scale + minimum;
    out[j + 16] = (static_cast<float>(byte >> 4) - zero) * scale + minimum;
  }
}

void DequantizeBlock(DType dtype, const std::byte* block, float* out) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, block, 4);
      return;
    case DType::kF16:
      *out = HalfToFloat(ReadU16(block));
      return;
    case DType::kBF16:
      *out = std::bit_cast<float>(static_cast<uint32_t>(ReadU16(block)) << 16);
      return;
    case DType::kQ4_0:
      DequantizeNibbles(block + 2, HalfToFloat(ReadU16(block)), 8.0f, 0.0f, out);
      return;
    case DType::kQ4_1:
      DequantizeNibbles(block + 4, HalfToFloat(ReadU16(block)), 0.0f, HalfToFloat(ReadU16(block + 2)), out);
      return;
    case DType::kQ8_0: {
      const float scale = HalfToFloat(ReadU16(block));
      for (int j = 0; j < 32; ++j) out[j] = static_cast<float>(static_cast<int8_t>(block[2 + j])) * scale;
      return;
    }
  }
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
  return std::bit_cast<float>(sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | (mantissa << 13));
}

void DequantizeRow(const TensorView& tensor, int64_t row, std::span<float> out) {
  const DTypeInfo& info = Info(tensor.dtype);
  AUTOGLM_CHECK(static_cast<int64_t>(out.size()) == tensor.num_columns() && row >= 0 && row < tensor.num_rows());
  const std::byte* block = tensor.bytes.data() + row * tensor.row_bytes();
  for (int64_t k = 0; k < tensor.num_columns(); k += info.block_elements, block += info.block_bytes) {
    DequantizeBlock(tensor.dtype, block, out.data() + k);
  }
}

}  // namespace autoglm
