#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "kernels/packed_format.h"
#include "tensor/tensor_view.h"

namespace autoglm {

// The panel format that keeps a tensor's numbers as they are; nullopt for a type that has none.
std::optional<PackedFormat> PanelFormatOf(DType dtype);

// Writes rows [first_row, first_row + num_rows) of a tensor, at most 16, into a zeroed panel of PanelFormatOf(tensor.dtype).
void PackPanel(const TensorView& tensor, int64_t first_row, int64_t num_rows, std::byte* panel);

// The same as kI8, from a tensor of any type: each row symmetrically rounded to 8 bits with its own scale, max|x| / 127.
// The number of columns is a multiple of 32.
void PackInt8Panel(const TensorView& tensor, int64_t first_row, int64_t num_rows, std::byte* panel);

// The same of an F16 tensor, as kI16.
void PackInt16Panel(const TensorView& tensor, int64_t first_row, int64_t num_rows, std::byte* panel);

}  // namespace autoglm
