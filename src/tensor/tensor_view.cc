#include "tensor/tensor_view.h"

namespace autoglm {

Result<TensorView> RowSlice(const TensorView& tensor, int64_t first_row, int64_t num_rows) {
  AUTOGLM_CHECK(first_row >= 0 && num_rows >= 0);
  if (tensor.shape.size() < 2 || first_row > tensor.num_rows() || num_rows > tensor.num_rows() - first_row) {
    return Fail(ErrorCode::kCorruptFile, "tensor " + tensor.name + " has " + std::to_string(tensor.num_rows()) +
                                             " rows, but rows " + std::to_string(first_row) + " to " +
                                             std::to_string(first_row + num_rows) + " are needed");
  }
  const auto row_bytes = static_cast<size_t>(tensor.row_bytes());
  return TensorView{
      .name = tensor.name,
      .dtype = tensor.dtype,
      .shape = {num_rows, tensor.num_columns()},
      .bytes = tensor.bytes.subspan(static_cast<size_t>(first_row) * row_bytes, static_cast<size_t>(num_rows) * row_bytes)};
}

}  // namespace autoglm
