#include "weights/dequantize.h"

#include <gtest/gtest.h>

#include <bit>
#include <string>
#include <vector>

#include "support/safetensors_reader.h"
#include "support/test_paths.h"
#include "weights/quant_blocks.h"

namespace autoglm {
namespace {

class DequantizeGolden : public ::testing::TestWithParam<DType> {};

TEST_P(DequantizeGolden, EveryBitIsAsTheReferenceComputesIt) {
  const SafetensorsReader golden(GoldenFile("quants/quants.safetensors"));
  const std::string type(Info(GetParam()).name);
  const auto bytes = golden.Read<std::byte>(type + ".bytes");
  const auto expected = golden.Read<float>(type + ".values");
  const int64_t columns = static_cast<int64_t>(expected.size()) / 2;
  const TensorView rows{.name = type, .dtype = GetParam(), .shape = {2, columns}, .bytes = bytes};
  ASSERT_EQ(rows.row_bytes() * 2, static_cast<int64_t>(bytes.size()));

  std::vector<float> values(static_cast<size_t>(columns));
  for (int64_t row = 0; row < 2; ++row) {
    DequantizeRow(rows, row, values);
    for (int64_t k = 0; k < columns; ++k) {
      ASSERT_EQ(std::bit_cast<uint32_t>(values[k]), std::bit_cast<uint32_t>(expected[row * columns + k]))
          << "row " << row << ", column " << k << ": " << values[k] << ", not " << expected[row * columns + k];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryType, DequantizeGolden,
                         ::testing::Values(DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,
                                           DType::kQ5_1, DType::kQ8_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL),
                         [](const auto& type) { return std::string(Info(type.param).name); });

TEST(QuantBlocks, GroupScalesSurvivePacking) {
  std::array<std::byte, kScalesOfKBytes> packed{};
  for (int round = 0; round < 64; ++round) {
    std::array<GroupScale, kGroupsOfK> groups;
    for (int i = 0; i < kGroupsOfK; ++i) groups[i] = {.scale = (round + 9 * i) % 64, .minimum = (5 * round + 23 * i) % 64};
    PackGroupScales(groups, packed);
    for (int i = 0; i < kGroupsOfK; ++i) {
      EXPECT_EQ(UnpackGroupScale(packed, i).scale, groups[i].scale);
      EXPECT_EQ(UnpackGroupScale(packed, i).minimum, groups[i].minimum);
    }
  }
}

TEST(DequantizeDeathTest, RowOutsideTheTensorIsABug) {
  const std::vector<std::byte> bytes(2 * 34);
  const TensorView tensor{.name = "t", .dtype = DType::kQ8_0, .shape = {2, 32}, .bytes = bytes};
  std::vector<float> values(32);
  EXPECT_DEATH(DequantizeRow(tensor, 2, values), "num_rows");
  EXPECT_DEATH(DequantizeRow(tensor, 0, std::span(values).first(31)), "num_columns");
}

}  // namespace
}  // namespace autoglm
