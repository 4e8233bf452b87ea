#include "tensor/dtype.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

TEST(DType, FindDType_KnowsTwelveFormatsAndNothingElse) {
  int num_known = 0;
  for (uint32_t type_id = 0; type_id < 300; ++type_id) num_known += FindDType(type_id) != nullptr;
  EXPECT_EQ(num_known, 12);
  EXPECT_EQ(FindDType(0xffffffff), nullptr);
}

TEST(DType, Info_GivesBlockSizesOfTheFormat) {
  EXPECT_EQ(Info(DType::kF32).block_bytes, 4);
  EXPECT_EQ(Info(DType::kBF16).block_bytes, 2);
  EXPECT_EQ(Info(DType::kQ4_0).block_bytes, 2 + 16);
  EXPECT_EQ(Info(DType::kQ4_1).block_bytes, 2 + 2 + 16);
  EXPECT_EQ(Info(DType::kQ8_0).block_bytes, 2 + 32);
  EXPECT_EQ(Info(DType::kQ8_0).block_elements, 32);
  EXPECT_EQ(Info(DType::kQ5_0).block_bytes, 2 + 4 + 16);
  EXPECT_EQ(Info(DType::kQ5_1).block_bytes, 2 + 2 + 4 + 16);
  EXPECT_EQ(Info(DType::kIQ4_NL).block_bytes, 2 + 16);
  EXPECT_EQ(Info(DType::kQ4_K).block_bytes, 2 + 2 + 12 + 128);
  EXPECT_EQ(Info(DType::kQ5_K).block_bytes, 2 + 2 + 12 + 32 + 128);
  EXPECT_EQ(Info(DType::kQ6_K).block_bytes, 128 + 64 + 16 + 2);
  EXPECT_EQ(Info(DType::kQ6_K).block_elements, 256);
}

}  // namespace
}  // namespace autoglm
