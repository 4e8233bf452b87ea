#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/result.h"
#include "tensor/dtype.h"

namespace autoglm {

// A tensor inside a file or buffer that somebody else owns. Rows are stored one after another.
struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  // row-major, last dimension fastest: [rows, columns] for a matrix
  std::span<const std::byte> bytes;

  int64_t num_columns() const { return shape.empty() ? 0 : shape.back(); }
  int64_t num_rows() const {
    int64_t rows = 1;
    for (size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
    return rows;
  }
  int64_t row_bytes() const {
    const DTypeInfo& info = Info(dtype);
    AUTOGLM_CHECK(num_columns() % info.block_elements == 0);
    return num_columns() / info.block_elements * info.block_bytes;
  }
};

// Rows [first_row, first_row + num_rows) as a matrix of their own, such as the keys' part of a fused QKV matrix. Of a tensor
// of three dimensions [experts, rows, columns] the rows count through: expert e begins at row e * rows.
// Errors: kCorruptFile where the tensor has fewer rows.
Result<TensorView> RowSlice(const TensorView& tensor, int64_t first_row, int64_t num_rows);

}  // namespace autoglm
