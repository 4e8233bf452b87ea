#include "weights/packed_matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/random.h"
#include "base/thread_pool.h"

namespace autoglm {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kColumns = 64;

std::vector<std::byte> RandomRows(DType dtype, int64_t rows) {
  Random random(3);
  const DTypeInfo& info = Info(dtype);
  std::vector<std::byte> bytes(static_cast<size_t>(rows * kColumns / info.block_elements * info.block_bytes));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.NextU64());
  return bytes;
}

std::vector<std::byte> PanelsOf(const TensorView& tensor, int64_t rows, ThreadPool& pool) {
  auto arena = WeightArena::Reserve(PackedMatrix::PackedBytes(tensor) + 64);
  const auto matrix = PackedMatrix::Pack(tensor, rows, kColumns, *arena, pool);
  EXPECT_TRUE(matrix) << matrix.error().message;
  std::vector<std::byte> panels(static_cast<size_t>(matrix->num_bytes()));
  std::memcpy(panels.data(), matrix->view().data, panels.size());
  return panels;
}

TEST(PackedMatrix, RowSlice_PacksAsAMatrixOfItsOwn) {
  ThreadPool pool(2);
  for (const DType dtype : {DType::kQ4_0, DType::kQ4_1, DType::kQ8_0, DType::kF16, DType::kBF16, DType::kF32}) {
    const auto bytes = RandomRows(dtype, 50);
    const TensorView fused{.name = "qkv", .dtype = dtype, .shape = {50, kColumns}, .bytes = bytes};
    const auto slice = RowSlice(fused, 7, 21);
    ASSERT_TRUE(slice) << slice.error().message;
    const std::vector<std::byte> copy(slice->bytes.begin(), slice->bytes.end());
    const TensorView alone{.name = "k", .dtype = dtype, .shape = {21, kColumns}, .bytes = copy};
    EXPECT_TRUE(PanelsOf(*slice, 21, pool) == PanelsOf(alone, 21, pool)) << Info(dtype).name;
    EXPECT_FALSE(PanelsOf(*RowSlice(fused, 8, 21), 21, pool) == PanelsOf(alone, 21, pool)) << Info(dtype).name;
  }
}

TEST(PackedMatrix, TypesWithoutAPanelFormatAreRefused) {
  ThreadPool pool(1);
  auto arena = WeightArena::Reserve(1 << 20);
  const std::vector<std::byte> bytes(4 * 210);
  const TensorView tensor{.name = "down", .dtype = DType::kQ6_K, .shape = {4, 256}, .bytes = bytes};
  EXPECT_EQ(PackedMatrix::PackedBytes(tensor), 0);
  const auto matrix = PackedMatrix::Pack(tensor, 4, 256, *arena, pool);
  ASSERT_FALSE(matrix);
  EXPECT_EQ(matrix.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(matrix.error().message, HasSubstr("down has type Q6_K, which has no kernels yet"));
}

TEST(PackedMatrix, ShapeThatWasNotExpectedIsRefused) {
  ThreadPool pool(1);
  auto arena = WeightArena::Reserve(1 << 20);
  const auto bytes = RandomRows(DType::kF32, 5);
  const TensorView tensor{.name = "m", .dtype = DType::kF32, .shape = {5, kColumns}, .bytes = bytes};
  const auto matrix = PackedMatrix::Pack(tensor, 6, kColumns, *arena, pool);
  ASSERT_FALSE(matrix);
  EXPECT_EQ(matrix.error().code, ErrorCode::kCorruptFile);
  EXPECT_THAT(matrix.error().message, HasSubstr("m has shape [5, 64], expected [6, 64]"));
}

}  // namespace
}  // namespace autoglm
