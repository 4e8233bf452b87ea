#include "weights/packed_matrix.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/check.h"

namespace autoglm {
namespace {

// GGUF blocks of 32 columns: where the parts of a block are (d, [m], values: ggml-common.h).
struct BlockParts {
  int64_t block_bytes;
  int64_t values_at;
  int64_t num_lines;  // of 4 bytes a row: 4 for nibbles, 8 for bytes
  bool has_minimum;
  uint32_t flip;  // turns int8 into unsigned bytes with zero point 128
};

constexpr BlockParts PartsOf(PackedFormat format) {
  switch (format) {
    case PackedFormat::kQ4:
      return {18, 2, 4, false, 0};
    case PackedFormat::kQ4M:
      return {20, 4, 4, true, 0};
    default:
      return {34, 2, 8, false, 0x80808080u};
  }
}

// A GGUF row keeps nibbles so that byte j of a block holds columns j (low) and j + 16 (high): exactly a panel's pairing, so
// packing moves four bytes at a time and never looks inside.
void PackQuantizedPanel(const TensorView& tensor, PackedFormat format, int64_t first_row, int64_t num_rows, std::byte* panel) {
  const BlockParts parts = PartsOf(format);
  const int64_t groups = tensor.num_columns() / kGroupColumns;
  const int64_t row_bytes = tensor.row_bytes();
  const std::byte* rows = tensor.bytes.data() + first_row * row_bytes;
  const int64_t header = parts.has_minimum ? 64 : 32;
  for (int64_t g = 0; g < groups; ++g) {
    std::byte* group = panel + g * GroupBytes(format);
    for (int64_t r = 0; r < num_rows; ++r) {
      const std::byte* block = rows + r * row_bytes + g * parts.block_bytes;
      std::memcpy(group + r * 2, block, 2);
      if (parts.has_minimum) std::memcpy(group + 32 + r * 2, block + 2, 2);
      for (int64_t line = 0; line < parts.num_lines; ++line) {
        uint32_t quad;
        std::memcpy(&quad, block + parts.values_at + line * 4, 4);
        quad ^= parts.flip;
        std::memcpy(group + header + line * 64 + r * 4, &quad, 4);
      }
    }
  }
}

void PackFloatPanel(const TensorView& tensor, PackedFormat format, int64_t first_row, int64_t num_rows, std::byte* panel) {
  const int64_t element = format == PackedFormat::kF32 ? 4 : 2;
  const int64_t columns = tensor.num_columns();
  for (int64_t r = 0; r < num_rows; ++r) {
    const std::byte* row = tensor.bytes.data() + (first_row + r) * tensor.row_bytes();
    for (int64_t k = 0; k < columns; ++k) {
      const int64_t at = format == PackedFormat::kBf16 ? ((k / 2 * kPanelRows + r) * 2 + k % 2) : k * kPanelRows + r;
      std::memcpy(panel + at * element, row + k * element, static_cast<size_t>(element));
    }
  }
}

Result<PackedFormat> FormatOf(const TensorView& tensor) {
  switch (tensor.dtype) {
    case DType::kQ4_0:
      return PackedFormat::kQ4;
    case DType::kQ4_1:
      return PackedFormat::kQ4M;
    case DType::kQ8_0:
      return PackedFormat::kQ8;
    case DType::kF16:
      return PackedFormat::kF16;
    case DType::kBF16:
      return PackedFormat::kBf16;
    case DType::kF32:
      return PackedFormat::kF32;
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
    case DType::kQ6_K:
    case DType::kIQ4_NL:
      break;
  }
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

int64_t PackedMatrix::PackedBytes(const TensorView& tensor) {
  const Result<PackedFormat> format = FormatOf(tensor);
  if (!format) return 0;
  return (tensor.num_rows() + kPanelRows - 1) / kPanelRows * PanelBytes(*format, tensor.num_columns());
}

Result<PackedMatrix> PackedMatrix::Pack(const TensorView& tensor, int64_t rows, int64_t columns, WeightArena& arena,
                                        ThreadPool& pool) {
  if (tensor.shape.size() != 2 || tensor.shape[0] != rows || tensor.shape[1] != columns) {
    std::string shape;
    for (const int64_t extent : tensor.shape) shape += (shape.empty() ? "" : ", ") + std::to_string(extent);
    return Fail(ErrorCode::kCorruptFile, "tensor " + tensor.name + " has shape [" + shape + "], expected [" +
                                             std::to_string(rows) + ", " + std::to_string(columns) + "]");
  }
  AUTOGLM_TRY(const PackedFormat format, FormatOf(tensor));
  PackedMatrix matrix;
  matrix.rows_ = rows;
  matrix.view_ = {format, columns, PanelBytes(format, columns), nullptr};
  std::byte* data = arena.Allocate(matrix.num_bytes());  // zeroed: the padding needs no work
  matrix.view_.data = data;

  pool.ResetItems();
  pool.Run([&](int) {
    for (int64_t panel = pool.NextItem(); panel < matrix.num_panels(); panel = pool.NextItem()) {
      const int64_t first_row = panel * kPanelRows;
      const int64_t num_rows = std::min(kPanelRows, rows - first_row);
      std::byte* bytes = data + panel * matrix.view_.panel_bytes;
      if (IsQuantized(format)) {
        PackQuantizedPanel(tensor, format, first_row, num_rows, bytes);
      } else {
        PackFloatPanel(tensor, format, first_row, num_rows, bytes);
      }
    }
  });
  return matrix;
}

}  // namespace autoglm
