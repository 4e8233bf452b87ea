#include "cli/option_values.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

TEST(Names, ComeBackFromTheirText) {
  for (const Arithmetic arithmetic : {Arithmetic::kFast, Arithmetic::kMixed, Arithmetic::kExact}) {
    EXPECT_EQ(ParseArithmetic(ArithmeticName(arithmetic)), arithmetic);
  }
  for (const KvType type : {KvType::kBf16, KvType::kInt8, KvType::kF32}) EXPECT_EQ(ParseKvType(KvTypeName(type)).value(), type);
  EXPECT_FALSE(ParseKvType("auto").value().has_value());
  for (const WeightPrecision precision : {WeightPrecision::kAsStored, WeightPrecision::kInt8}) {
    EXPECT_EQ(ParsePrecision(PrecisionName(precision)), precision);
  }
  for (const LogLevel level : {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError}) {
    EXPECT_EQ(ParseLogLevel(LogLevelName(level)), level);
  }
}

TEST(Names, ErrorsListWhatIsKnown) {
  EXPECT_EQ(ParseArithmetic("quick").error().message, "must be one of fast, mixed, exact, not 'quick'");
  EXPECT_EQ(ParseKvType("int4").error().message, "must be one of auto, bf16, int8, f32, not 'int4'");
  EXPECT_EQ(ParsePrecision("int4").error().message, "must be one of as-stored, int8, not 'int4'");
  EXPECT_EQ(ParseLogLevel("").error().message, "must be one of debug, info, warning, error, not ''");
}

}  // namespace
}  // namespace autoglm
