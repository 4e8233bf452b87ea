#include "weights/packed_matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/random.h"
#include "support/quant_golden.h"
#include "tensor/half.h"
#include "weights/dequantize.h"

namespace autoglm {
namespace {

// What a packed matrix stands for, [rows][columns]: its float product with unit vectors.
std::vector<float> Unpack(const PackedMatrix& matrix, Isa isa) {
  const KernelTable& kernels = GetKernels(isa);
  const int64_t columns = matrix.columns();
  const Tiling tiling(columns, kernels.tile_tokens);
  std::vector<float> unit(static_cast<size_t>(columns * columns));
  for (int64_t k = 0; k < columns; ++k) unit[static_cast<size_t>(k * columns + k)] = 1;
  const AlignedBuffer memory = AllocateAligned(columns * columns * 4);
  const FloatActivations activations{tiling, columns, reinterpret_cast<float*>(memory.get())};
  for (int64_t tile = 0; tile < tiling.num_tiles(); ++tile) {
    const int64_t begin = tiling.Begin(tile);
    kernels.transpose_tile(unit.data() + begin * columns, columns, begin, tiling.Begin(tile + 1) - begin, activations);
  }
  std::vector<float> product(static_cast<size_t>(columns * matrix.rows()));
  const AlignedBuffer scratch = AllocateAligned(GemmScratchBytes(columns));
  kernels.gemm_float({.weights = matrix.view(),
                      .panel_begin = 0,
                      .panel_end = matrix.num_panels(),
                      .out = product.data(),
                      .out_stride = matrix.rows(),
                      .num_rows = matrix.rows(),
                      .epilogue = Epilogue::kStore,
                      .scratch = reinterpret_cast<float*>(scratch.get())},
                     activations);
  std::vector<float> rows(product.size());
  for (int64_t k = 0; k < columns; ++k) {
    for (int64_t row = 0; row < matrix.rows(); ++row) {
      rows[static_cast<size_t>(row * columns + k)] = product[static_cast<size_t>(k * matrix.rows() + row)];
    }
  }
  return rows;
}

class PackedMatrixTest : public testing::Test {
 protected:
  PackedMatrix Pack(const TensorView& tensor, const WeightPacking& packing = {}) {
    arena_ = *WeightArena::Reserve(PackedMatrix::PackedBytes(tensor, packing) + 64);
    auto packed = PackedMatrix::Plan(tensor, {tensor.num_rows(), tensor.num_columns()}, packing, arena_);
    EXPECT_TRUE(packed) << packed.error().message;
    for (int64_t panel = 0; panel < packed->num_panels(); ++panel) packed->PackPanelFrom(tensor, panel);
    return *packed;
  }

  WeightArena arena_;
};

class PackedType : public PackedMatrixTest, public testing::WithParamInterface<DType> {};
INSTANTIATE_TEST_SUITE_P(Quantised, PackedType, testing::ValuesIn(QuantGolden::Types()),
                         [](const auto& test) { return std::string(Info(test.param).name); });

TEST_P(PackedType, PanelsHoldTheNumbersOfTheFile) {
  const QuantGolden golden(GetParam());
  const PackedMatrix matrix = Pack(golden.tensor());
  for (const Isa isa : SupportedIsas()) EXPECT_EQ(Unpack(matrix, isa), golden.values()) << IsaName(isa);
}

// 21 rows of 64 columns whose sizes differ by row.
struct FloatTensor {
  FloatTensor() : values(21 * 64) {
    Random random(5);
    for (size_t i = 0; i < values.size(); ++i) {
      const auto row = static_cast<int>(i / 64);
      values[i] = static_cast<float>(std::ldexp(random.NextDouble() - 0.5, row - 10));
    }
    std::fill_n(values.begin() + 3 * 64, 64, 0.0f);
    view = {.name = "float", .dtype = DType::kF32, .shape = {21, 64}, .bytes = std::as_bytes(std::span(values))};
  }
  std::vector<float> values;
  TensorView view;
};

TEST_F(PackedMatrixTest, Int8_RoundsEachRowByItsOwnScale) {
  const FloatTensor tensor;
  const PackedMatrix matrix = Pack(tensor.view, {WeightPrecision::kInt8});
  EXPECT_EQ(matrix.format(), PackedFormat::kI8);
  const std::vector<float> rounded = Unpack(matrix, DetectIsa());
  for (size_t row = 0; row < 21; ++row) {
    float largest = 0;
    for (size_t k = 0; k < 64; ++k) largest = std::max(largest, std::fabs(tensor.values[row * 64 + k]));
    for (size_t k = 0; k < 64; ++k) {
      const size_t i = row * 64 + k;
      ASSERT_NEAR(rounded[i], tensor.values[i], largest / 127 * 0.5001f) << "row " << row << " column " << k;
      if (std::fabs(tensor.values[i]) == largest) {
        EXPECT_FLOAT_EQ(rounded[i], tensor.values[i]);
      }
    }
  }
}

TEST_F(PackedMatrixTest, Int8_LeavesQuantisedTensorsAsStored) {
  const QuantGolden golden(DType::kQ4_K);
  EXPECT_EQ(Pack(golden.tensor(), {WeightPrecision::kInt8}).format(), PackedFormat::kQ4K);
}

// Where activations are 14-bit integers, halves become integers of one power of two in 32 columns: those down to an eighth of the
// largest keep all their bits.
TEST_F(PackedMatrixTest, F16WithFastArithmetic_BecomesIntegers) {
  std::vector<uint16_t> halves(21 * 72);
  std::vector<float> values(halves.size());
  for (size_t i = 0; i < halves.size(); ++i) {
    halves[i] = static_cast<uint16_t>((12 + i / 72 % 3 + i % 3) << 10 | (i * 37 % 1024) | (i % 5 == 0 ? 0x8000 : 0));
    values[i] = HalfToFloat(halves[i]);
  }
  const TensorView tensor{.name = "half", .dtype = DType::kF16, .shape = {21, 72}, .bytes = std::as_bytes(std::span(halves))};
  EXPECT_EQ(Pack(tensor).format(), PackedFormat::kF16);
  const PackedMatrix matrix = Pack(tensor, {.arithmetic = Arithmetic::kFast});
  EXPECT_EQ(matrix.format(), PackedFormat::kI16);
  for (const Isa isa : SupportedIsas()) EXPECT_EQ(Unpack(matrix, isa), values) << IsaName(isa);
}

TEST_F(PackedMatrixTest, RowSlice_PacksAsAMatrixOfItsOwn) {
  const FloatTensor tensor;
  const auto slice = RowSlice(tensor.view, 7, 11);  // across a panel's border
  ASSERT_TRUE(slice) << slice.error().message;
  const PackedMatrix matrix = Pack(*slice);
  EXPECT_EQ(matrix.rows(), 11);
  const std::vector<float> expected(tensor.values.begin() + 7 * 64, tensor.values.begin() + 18 * 64);
  EXPECT_EQ(Unpack(matrix, DetectIsa()), expected);
}

TEST_F(PackedMatrixTest, UnexpectedShape_IsRefusedWithBothShapes) {
  const FloatTensor tensor;
  const auto packed = PackedMatrix::Plan(tensor.view, {64, 21}, {}, arena_);
  ASSERT_FALSE(packed);
  EXPECT_EQ(packed.error().code, ErrorCode::kCorruptFile);
  EXPECT_THAT(packed.error().message, testing::AllOf(testing::HasSubstr("[21, 64]"), testing::HasSubstr("[64, 21]")));
}

}  // namespace
}  // namespace autoglm
