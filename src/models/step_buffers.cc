#include "models/step_buffers.h"

namespace autoglm {

void ActivationBuffer::Reserve(int64_t num_tokens, int64_t columns, bool quantized, bool floats) {
  tiling_ = Tiling{num_tokens};
  has_quantized_ = quantized;
  has_floats_ = floats;
  if (quantized) {
    const int64_t groups = num_tokens * (columns / kGroupColumns);
    // Values first (64-byte aligned), then five arrays of 4-byte elements.
    const int64_t value_bytes = (num_tokens * columns + 63) / 64 * 64;
    std::byte* memory = quantized_memory_.Get<std::byte>(value_bytes + 5 * groups * 4);
    auto* words = reinterpret_cast<float*>(memory + value_bytes);
    quantized_ = {.tiling = tiling_,
                  .columns = columns,
                  .values = reinterpret_cast<int8_t*>(memory),
                  .scales = words,
                  .scaled_sums = words + groups,
                  .neg_sums_8 = reinterpret_cast<int32_t*>(words + 2 * groups),
                  .neg_sums_128 = reinterpret_cast<int32_t*>(words + 3 * groups),
                  .neg_lower_sums_32 = reinterpret_cast<int32_t*>(words + 4 * groups)};
  }
  if (floats) {
    floats_ = {.tiling = tiling_, .columns = columns, .values = float_memory_.Get<float>(num_tokens * ((columns + 1) / 2 * 2))};
  }
}

void ActivationBuffer::FillTile(const KernelTable& kernels, int64_t tile, const float* rows, int64_t stride) {
  const int64_t begin = tiling_.Begin(tile);
  const int64_t width = tiling_.Begin(tile + 1) - begin;
  if (has_quantized_) kernels.quantize_tile(rows, stride, begin, width, quantized_);
  if (has_floats_) kernels.transpose_tile(rows, stride, begin, width, floats_);
}

}  // namespace autoglm
