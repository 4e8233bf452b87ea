#pragma once

#include <cstdint>
#include <span>

#include "tensor/tensor_view.h"

namespace autoglm {

// One row of a tensor as float32, exactly as the format defines it (ggml-quants.c). `out` has tensor.num_columns() places.
void DequantizeRow(const TensorView& tensor, int64_t row, std::span<float> out);

float HalfToFloat(uint16_t half);

}  // namespace autoglm
