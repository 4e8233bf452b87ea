#include "bench/engine_bench.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

TEST(EngineBenchResult, MedianOfSamples) {
  EngineBenchResult result;
  EXPECT_EQ(result.median(), 0);
  result.tokens_per_s = {3, 1, 2};
  EXPECT_EQ(result.median(), 2);
  result.tokens_per_s = {4, 1, 2, 3};
  EXPECT_EQ(result.median(), 2.5);
}

}  // namespace
}  // namespace autoglm
