#include "tensor/tensor_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace autoglm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(TensorView, RowsAndColumns_FollowTheShape) {
  const TensorView vector{.name = "v", .dtype = DType::kF32, .shape = {7}, .bytes = {}};
  EXPECT_EQ(vector.num_rows(), 1);
  EXPECT_EQ(vector.num_columns(), 7);
  EXPECT_EQ(vector.row_bytes(), 28);
  const TensorView experts{.name = "e", .dtype = DType::kQ4_1, .shape = {3, 5, 64}, .bytes = {}};
  EXPECT_EQ(experts.num_rows(), 15);
  EXPECT_EQ(experts.row_bytes(), 40);
}

TEST(TensorViewDeathTest, RowBytes_PartOfABlockIsABug) {
  const TensorView broken{.name = "b", .dtype = DType::kQ4_1, .shape = {2, 33}, .bytes = {}};
  EXPECT_DEATH((void)broken.row_bytes(), "block_elements");
}

TEST(RowSlice, IsTheRowsOfTheMatrix) {
  const std::vector<std::byte> bytes(5 * 40);
  const TensorView fused{.name = "qkv", .dtype = DType::kQ4_1, .shape = {5, 64}, .bytes = bytes};
  const auto keys = RowSlice(fused, 3, 2);
  ASSERT_TRUE(keys) << keys.error().message;
  EXPECT_EQ(keys->name, "qkv");
  EXPECT_EQ(keys->dtype, DType::kQ4_1);
  EXPECT_THAT(keys->shape, ElementsAre(2, 64));
  EXPECT_EQ(keys->bytes.data(), bytes.data() + 3 * 40);
  EXPECT_EQ(keys->bytes.size(), 2u * 40);
}

TEST(RowSlice, CountsThroughTheExperts) {
  const std::vector<std::byte> bytes(3 * 2 * 4 * 4);
  const TensorView experts{.name = "up", .dtype = DType::kF32, .shape = {3, 2, 4}, .bytes = bytes};
  const auto last = RowSlice(experts, 4, 2);
  ASSERT_TRUE(last) << last.error().message;
  EXPECT_THAT(last->shape, ElementsAre(2, 4));
  EXPECT_EQ(last->bytes.data() + last->bytes.size(), bytes.data() + bytes.size());
}

TEST(RowSlice, MoreRowsThanThereAreIsAnError) {
  const std::vector<std::byte> bytes(5 * 16);
  const TensorView matrix{.name = "m", .dtype = DType::kF32, .shape = {5, 4}, .bytes = bytes};
  EXPECT_TRUE(RowSlice(matrix, 0, 5));
  EXPECT_TRUE(RowSlice(matrix, 5, 0));
  EXPECT_FALSE(RowSlice(matrix, 6, 0));
  const auto slice = RowSlice(matrix, 3, 3);
  ASSERT_FALSE(slice);
  EXPECT_EQ(slice.error().code, ErrorCode::kCorruptFile);
  EXPECT_THAT(slice.error().message, HasSubstr("m has 5 rows, but rows 3 to 6 are needed"));

  const TensorView vector{.name = "v", .dtype = DType::kF32, .shape = {4}, .bytes = std::span(bytes).first(16)};
  EXPECT_FALSE(RowSlice(vector, 0, 1));
}

}  // namespace
}  // namespace autoglm
