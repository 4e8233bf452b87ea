#include "tensor/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace autoglm {
namespace {

bool IsNan(uint16_t half) { return (half & 0x7fff) > 0x7c00; }

TEST(Half, EveryHalfSurvivesTheWayThroughFloat) {
  for (uint32_t half = 0; half < 65536; ++half) {
    const float value = HalfToFloat(static_cast<uint16_t>(half));
    if (IsNan(static_cast<uint16_t>(half))) {
      EXPECT_TRUE(std::isnan(value)) << half;
      EXPECT_TRUE(IsNan(FloatToHalf(value))) << half;
    } else {
      EXPECT_EQ(FloatToHalf(value), half);
    }
  }
}

TEST(Half, BetweenTwoHalvesTheNearerOneIsTaken_TheEvenOneOnATie) {
  for (uint32_t half = 0; half < 0x7bff; ++half) {
    const float low = HalfToFloat(static_cast<uint16_t>(half));
    const float high = HalfToFloat(static_cast<uint16_t>(half + 1));
    const float middle = low + (high - low) / 2;
    ASSERT_EQ(FloatToHalf(std::nextafter(middle, low)), half);
    ASSERT_EQ(FloatToHalf(middle), half + half % 2);
    ASSERT_EQ(FloatToHalf(-middle), 0x8000 + half + half % 2);
    ASSERT_EQ(FloatToHalf(std::nextafter(middle, high)), half + 1);
  }
}

TEST(Half, BeyondTheLargestHalfLiesInfinity) {
  EXPECT_EQ(FloatToHalf(kHalfMax), 0x7bff);
  EXPECT_EQ(FloatToHalf(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(FloatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(FloatToHalf(-std::numeric_limits<float>::max()), 0xfc00);
  EXPECT_EQ(FloatToHalf(std::numeric_limits<float>::denorm_min()), 0);
}

TEST(Bf16, RoundsToNearestEven) {
  EXPECT_EQ(FloatToBf16(1.0f), 0x3f80);
  EXPECT_EQ(FloatToBf16(1.0f + 0x1p-8f), 0x3f80);      // a tie: 0x3f80 is even
  EXPECT_EQ(FloatToBf16(1.0f + 3 * 0x1p-8f), 0x3f82);  // a tie: 0x3f81 is odd
  EXPECT_EQ(FloatToBf16(1.0f + 0x1p-8f + 0x1p-20f), 0x3f81);
  EXPECT_EQ(FloatToBf16(-std::numeric_limits<float>::max()), 0xff80);
  EXPECT_TRUE(std::isnan(Bf16ToFloat(FloatToBf16(std::numeric_limits<float>::signaling_NaN()))));
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = Bf16ToFloat(static_cast<uint16_t>(bits));
    if (std::isnan(value)) continue;
    ASSERT_EQ(FloatToBf16(value), bits);
  }
}

}  // namespace
}  // namespace autoglm
