#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include "tensor/tensor_view.h"

namespace autoglm {
namespace {

TEST(DType, FindDType_KnowsTheSixFormatsAndNothingElse) {
  int num_known = 0;
  for (uint32_t type_id = 0; type_id < 300; ++type_id) num_known += FindDType(type_id) != nullptr;
  EXPECT_EQ(num_known, 6);
  EXPECT_EQ(FindDType(0xffffffff), nullptr);
}

TEST(DType, Info_GivesBlockSizesOfTheFormat) {
  EXPECT_EQ(Info(DType::kF32).block_bytes, 4);
  EXPECT_EQ(Info(DType::kBF16).block_bytes, 2);
  EXPECT_EQ(Info(DType::kQ4_0).block_bytes, 2 + 16);
  EXPECT_EQ(Info(DType::kQ4_1).block_bytes, 2 + 2 + 16);
  EXPECT_EQ(Info(DType::kQ8_0).block_bytes, 2 + 32);
  EXPECT_EQ(Info(DType::kQ8_0).block_elements, 32);
}

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

}  // namespace
}  // namespace autoglm
