#pragma once

#include <cstdint>
#include <span>

#include "tensor/tensor_view.h"

namespace autoglm {

// One row of a tensor as float32, bit for bit as the format's reference computes it (gguf-py's gguf.quants.dequantize).
// `out` has tensor.num_columns() places.
void DequantizeRow(const TensorView& tensor, int64_t row, std::span<float> out);

}  // namespace autoglm
