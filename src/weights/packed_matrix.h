#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "kernels/kernel_table.h"
#include "kernels/packed_format.h"
#include "tensor/tensor_view.h"
#include "weights/weight_arena.h"

namespace autoglm {

// Memory aligned to 64 bytes, for scratch.
struct AlignedDeleter {
  void operator()(std::byte* bytes) const;
};
using AlignedBuffer = std::unique_ptr<std::byte[], AlignedDeleter>;
AlignedBuffer AllocateAligned(int64_t bytes);

// What becomes of a file's numbers when they are packed.
enum class WeightPrecision {
  kAsStored,
  kInt8,  // F32, F16 and BF16 matrices as 8 bits with one scale for each row (output channel), where the columns are a multiple
          // of 32
};

// How matrices are packed.
struct WeightPacking {
  WeightPrecision precision = WeightPrecision::kAsStored;
  Arithmetic arithmetic = Arithmetic::kExact;  // but for kExact F16 becomes kI16
};

struct MatrixShape {
  int64_t rows = 0;
  int64_t columns = 0;
};

// A weight matrix [rows, columns] in the panel layout of kernels/packed_format.h.
class PackedMatrix {
 public:
  PackedMatrix() = default;

  // Memory of the arena for a matrix, or a RowSlice of one, in panels; the arena must outlive the matrix and have room for
  // PackedBytes(tensor). The panels are zero until they are packed. Errors: kUnsupported for a type without a panel format;
  // kCorruptFile where the tensor's shape is not the expected one.
  static Result<PackedMatrix> Plan(const TensorView& tensor, MatrixShape expected, const WeightPacking& packing,
                                   WeightArena& arena);
  // Copies the rows of panel `index` out of the tensor that the matrix was planned for. Different panels may be packed at the
  // same time.
  void PackPanelFrom(const TensorView& tensor, int64_t index);
  // Bytes of a tensor in panels; 0 for a type without a panel format.
  static int64_t PackedBytes(const TensorView& tensor, const WeightPacking& packing);

  int64_t rows() const { return rows_; }
  int64_t columns() const { return view_.columns; }
  int64_t num_panels() const { return (rows_ + kPanelRows - 1) / kPanelRows; }
  int64_t num_bytes() const { return num_panels() * view_.panel_bytes; }
  PackedFormat format() const { return view_.format; }
  const PanelView& view() const { return view_; }

 private:
  PanelView view_;
  std::byte* panels_ = nullptr;  // what view_ reads
  int64_t rows_ = 0;
};

}  // namespace autoglm
