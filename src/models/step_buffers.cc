#include "models/step_buffers.h"

namespace autoglm {

void ActivationNeeds::Add(PackedFormat format, ActivationKind kind) {
  switch (kind) {
    case ActivationKind::kInt16:
      int16 = true;
      return;
    case ActivationKind::kBf16:
      bf16 = true;
      return;
    case ActivationKind::kFloat:
      floats = true;
      return;
    case ActivationKind::kInt8:
      int8 = true;
      break;
  }
  if (HasMinimum(format)) scaled_sums = true;
  if (HasTwoScales(format)) {
    half_starts_32 = true;
    return;
  }
  if (ZeroPointOf(format) == 8) starts_8 = true;
  if (ZeroPointOf(format) == 16) starts_16 = true;
  if (ZeroPointOf(format) == 128) starts_128 = true;
}

// Matrix tiles read a row and some scales more than there may be.
constexpr int64_t kReadBeyondBytes = 64;

void ActivationBuffer::ReserveQuantized(int64_t num_tokens, int64_t columns) {
  const int64_t count = num_tokens * (columns / kGroupColumns);
  // Values first (64-byte aligned), then arrays of 4-byte elements.
  const int64_t value_bytes = (num_tokens * columns + 63) / 64 * 64;
  std::byte* memory = quantized_memory_.Get<std::byte>(value_bytes + 7 * count * 4 + kReadBeyondBytes);
  auto* next = reinterpret_cast<float*>(memory + value_bytes);
  const auto take = [&next, count](bool is_needed, int64_t times = 1) {
    float* array = is_needed ? next : nullptr;
    if (is_needed) next += count * times;
    return array;
  };
  quantized_ = {.tiling = tiling_, .columns = columns, .values = reinterpret_cast<int8_t*>(memory)};
  quantized_.scales = take(true);
  quantized_.starts_8 = reinterpret_cast<int32_t*>(take(needs_.starts_8));
  quantized_.starts_16 = reinterpret_cast<int32_t*>(take(needs_.starts_16));
  quantized_.starts_128 = reinterpret_cast<int32_t*>(take(needs_.starts_128));
  quantized_.half_starts_32 = reinterpret_cast<int32_t*>(take(needs_.half_starts_32, 2));
  quantized_.scaled_sums = take(needs_.scaled_sums);
}

void ActivationBuffer::Reserve(int64_t num_tokens, int64_t columns, const ActivationNeeds& needs, const KernelTable& kernels) {
  tiling_ = Tiling(num_tokens, kernels.tile_tokens);
  needs_ = needs;
  if (needs.int8) ReserveQuantized(num_tokens, columns);
  if (needs.int16) {
    const int64_t groups = (columns + kGroupColumns - 1) / kGroupColumns;
    const int64_t num_values = num_tokens * groups * kGroupColumns;
    std::byte* memory = int16_memory_.Get<std::byte>(num_values * 2 + num_tokens * groups * 4);
    int16_ = {.tiling = tiling_,
              .columns = columns,
              .values = reinterpret_cast<uint16_t*>(memory),
              .scales = reinterpret_cast<float*>(memory + num_values * 2)};
  }
  if (needs.bf16) {
    const int64_t num_values = num_tokens * ((columns + kGroupColumns - 1) / kGroupColumns * kGroupColumns);
    bf16_ = {.tiling = tiling_, .columns = columns, .values = bf16_memory_.Get<uint16_t>(num_values + kReadBeyondBytes / 2)};
  }
  if (needs.floats) {
    floats_ = {.tiling = tiling_, .columns = columns, .values = float_memory_.Get<float>(num_tokens * ((columns + 1) / 2 * 2))};
  }
}

void ActivationBuffer::FillTile(const KernelTable& kernels, int64_t tile, const float* rows, int64_t stride) {
  const int64_t begin = tiling_.Begin(tile);
  const int64_t width = tiling_.Begin(tile + 1) - begin;
  if (needs_.int8) kernels.quantize_tile(rows, stride, begin, width, quantized_);
  if (needs_.int16) kernels.int16_tile(rows, stride, begin, width, int16_);
  if (needs_.bf16) kernels.bf16_tile(rows, stride, begin, width, bf16_);
  if (needs_.floats) kernels.transpose_tile(rows, stride, begin, width, floats_);
}

}  // namespace autoglm
