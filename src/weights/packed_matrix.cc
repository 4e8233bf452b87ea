#include "weights/packed_matrix.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>

#include "base/check.h"
#include "weights/panel_packer.h"

namespace autoglm {
namespace {

Result<PackedFormat> FormatOf(const TensorView& tensor, const WeightPacking& packing) {
  const std::optional<PackedFormat> format = PanelFormatOf(tensor.dtype);
  const bool is_float = format && !IsQuantized(*format);
  if (packing.precision == WeightPrecision::kInt8 && is_float && tensor.num_columns() % kGroupColumns == 0) {
    return PackedFormat::kI8;
  }
  if (format == PackedFormat::kF16 && packing.arithmetic != Arithmetic::kExact) return PackedFormat::kI16;
  if (format) return *format;
  return Fail(ErrorCode::kUnsupported,
              "tensor " + tensor.name + " has type " + std::string(Info(tensor.dtype).name) + ", which has no kernels yet");
}

}  // namespace

void AlignedDeleter::operator()(std::byte* bytes) const { std::free(bytes); }

AlignedBuffer AllocateAligned(int64_t bytes) {
  const size_t size = (static_cast<size_t>(std::max<int64_t>(bytes, 1)) + 63) / 64 * 64;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(64, size));
  AUTOGLM_CHECK(memory != nullptr);
  return AlignedBuffer(memory);
}

int64_t PackedMatrix::PackedBytes(const TensorView& tensor, const WeightPacking& packing) {
  const Result<PackedFormat> format = FormatOf(tensor, packing);
  if (!format) return 0;
  return (tensor.num_rows() + kPanelRows - 1) / kPanelRows * PanelBytes(*format, tensor.num_columns());
}

Result<PackedMatrix> PackedMatrix::Plan(const TensorView& tensor, MatrixShape expected, const WeightPacking& packing,
                                        WeightArena& arena) {
  if (tensor.shape.size() != 2 || tensor.shape[0] != expected.rows || tensor.shape[1] != expected.columns) {
    std::string found;
    for (const int64_t extent : tensor.shape) found += (found.empty() ? "" : ", ") + std::to_string(extent);
    return Fail(ErrorCode::kCorruptFile, "tensor " + tensor.name + " has shape [" + found + "], expected [" +
                                             std::to_string(expected.rows) + ", " + std::to_string(expected.columns) + "]");
  }
  AUTOGLM_TRY(const PackedFormat format, FormatOf(tensor, packing));
  PackedMatrix matrix;
  matrix.rows_ = expected.rows;
  matrix.view_ = {format, expected.columns, PanelBytes(format, expected.columns), nullptr};
  matrix.panels_ = arena.Allocate(matrix.num_bytes());  // zeroed: the padding needs no work
  matrix.view_.data = matrix.panels_;
  return matrix;
}

void PackedMatrix::PackPanelFrom(const TensorView& tensor, int64_t index) {
  const int64_t first_row = index * kPanelRows;
  const int64_t num_rows = std::min(kPanelRows, rows_ - first_row);
  std::byte* panel = panels_ + index * view_.panel_bytes;
  if (format() == PackedFormat::kI8) {
    PackInt8Panel(tensor, first_row, num_rows, panel);
  } else if (format() == PackedFormat::kI16) {
    PackInt16Panel(tensor, first_row, num_rows, panel);
  } else {
    PackPanel(tensor, first_row, num_rows, panel);
  }
}

}  // namespace autoglm
