#include "weights/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "support/safetensors_reader.h"
#include "support/test_paths.h"
#include "weights/dequantize.h"
#include "weights/quantize_fit.h"

namespace autoglm {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kColumns = 512;
constexpr float kFloatMax = std::numeric_limits<float>::max();
constexpr float kSmallest = std::numeric_limits<float>::denorm_min();

std::string TypeName(const ::testing::TestParamInfo<DType>& type) { return std::string(Info(type.param).name); }

std::vector<std::byte> Quantize(DType type, std::span<const float> row, std::span<const float> importance = {}) {
  std::vector<std::byte> bytes(static_cast<size_t>(*QuantizedRowBytes(type, std::ssize(row))));
  QuantizeRow(type, row, bytes, importance);
  return bytes;
}

// What a reader of the quantised row gets.
std::vector<float> ThereAndBack(DType type, std::span<const float> row, std::span<const float> importance = {}) {
  const auto bytes = Quantize(type, row, importance);
  const TensorView view{.name = "row", .dtype = type, .shape = {1, std::ssize(row)}, .bytes = bytes};
  std::vector<float> values(row.size());
  DequantizeRow(view, 0, values);
  return values;
}

std::vector<float> GaussianRow(uint64_t seed, float deviation = 0.02f) {
  Random random(seed);
  std::vector<float> row(kColumns);
  for (float& value : row) {
    float sum = 0;
    for (int i = 0; i < 12; ++i) sum += static_cast<float>(random.NextBelow(1 << 20)) * 0x1p-20f;
    value = (sum - 6.0f) * deviation;
  }
  return row;
}

double SquaredError(std::span<const float> a, std::span<const float> b, std::span<const float> weights = {}) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (weights.empty() ? 1.0 : weights[i]) * (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}
double SumOfSquares(std::span<const float> a) { return SquaredError(a, std::vector<float>(a.size())); }

class QuantizeGolden : public ::testing::TestWithParam<DType> {};

TEST_P(QuantizeGolden, EveryByteIsAsTheReferenceMakesIt) {
  const SafetensorsReader golden(GoldenFile("quants/quants.safetensors"));
  const auto source = golden.Read<float>("source");
  const auto expected = golden.Read<std::byte>(std::string(Info(GetParam()).name) + ".quantized");
  std::vector<std::byte> bytes;
  for (size_t k = 0; k < source.size(); k += kColumns) {
    const auto row = Quantize(GetParam(), std::span(source).subspan(k, kColumns));
    bytes.insert(bytes.end(), row.begin(), row.end());
  }
  EXPECT_TRUE(bytes == expected);
}

INSTANTIATE_TEST_SUITE_P(Reference, QuantizeGolden,
                         ::testing::Values(DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,
                                           DType::kQ5_1, DType::kQ8_0),
                         TypeName);

class QuantizeEveryType : public ::testing::TestWithParam<DType> {};

// Relative squared errors, 3 % above those measured when the quantisers equalled ggml's or did better on the same rows.
TEST_P(QuantizeEveryType, GaussianRowsKeepTheirQuality) {
  const auto limit = [](DType type) {
    switch (type) {
      case DType::kQ4_0:
        return 7.3e-3;
      case DType::kQ4_1:
        return 6.2e-3;
      case DType::kIQ4_NL:
        return 5.65e-3;
      case DType::kQ4_K:
        return 5.2e-3;
      case DType::kQ5_0:
        return 1.84e-3;
      case DType::kQ5_1:
        return 1.46e-3;
      case DType::kQ5_K:
        return 1.28e-3;
      case DType::kQ6_K:
        return 3.15e-4;
      case DType::kQ8_0:
        return 2.9e-5;
      case DType::kBF16:
        return 3e-6;
      default:
        return 6e-8;
    }
  };
  double error = 0;
  double total = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto row = GaussianRow(seed);
    error += SquaredError(row, ThereAndBack(GetParam(), row));
    total += SumOfSquares(row);
  }
  EXPECT_LE(error / total, limit(GetParam()));
}

TEST_P(QuantizeEveryType, ScaleOfTheRowDoesNotMatter) {
  const auto row = GaussianRow(3);
  const double error = SquaredError(row, ThereAndBack(GetParam(), row));
  auto large = row;
  for (float& value : large) value *= 0x1p10f;
  EXPECT_NEAR(SquaredError(large, ThereAndBack(GetParam(), large)) * 0x1p-20, error, error * 0.02 + 1e-9);
}

TEST_P(QuantizeEveryType, ZerosStayZeros) {
  const std::vector<float> zeros(kColumns);
  for (const float value : ThereAndBack(GetParam(), zeros)) ASSERT_EQ(value, 0);
}

TEST_P(QuantizeEveryType, ExtremeRowsGiveFiniteNumbers) {
  const bool keeps_infinity = GetParam() == DType::kF32 || GetParam() == DType::kBF16;
  std::vector<std::vector<float>> pairs = {{kSmallest, kSmallest},
                                           {-kSmallest, 3 * kSmallest},
                                           {0, 1e-30f},
                                           {0x1p-130f, -0x1p-128f},
                                           {1e-8f, -3e-8f},
                                           {1, kSmallest},
                                           {1e5f, 1e5f},
                                           {-7, -7},
                                           {7, 7},
                                           {1e30f, -1e-30f}};
  if (!keeps_infinity) {
    pairs.insert(pairs.end(),
                 {{kFloatMax, -kFloatMax}, {kFloatMax, kFloatMax}, {-kFloatMax, 1}, {INFINITY, -INFINITY}, {INFINITY, 0}});
  }
  for (const auto& pair : pairs) {
    for (const size_t period : {size_t{2}, size_t{37}, size_t{300}}) {
      std::vector<float> row(kColumns);
      for (size_t i = 0; i < row.size(); ++i) row[i] = pair[i % period == 0 ? 0 : 1];
      for (const auto& importance : {std::vector<float>{}, std::vector<float>(kColumns, 1.0f), std::vector<float>(row)}) {
        for (const float value : ThereAndBack(GetParam(), row, importance)) {
          ASSERT_TRUE(std::isfinite(value)) << "of " << pair[0] << " and " << pair[1];
        }
      }
    }
  }
}

TEST_P(QuantizeEveryType, ImportanceThatSaysNothingChangesNothing) {
  const auto row = GaussianRow(5);
  const auto plain = Quantize(GetParam(), row);
  for (const float nothing : {0.0f, -1.0f, NAN}) {
    EXPECT_TRUE(Quantize(GetParam(), row, std::vector<float>(kColumns, nothing)) == plain) << nothing;
  }
}

TEST_P(QuantizeEveryType, ImportanceLowersTheWeightedError) {
  Random random(11);
  std::vector<float> importance(kColumns);
  for (float& weight : importance) weight = random.NextBelow(8) == 0 ? 100.0f : 1.0f;
  double with = 0;
  double without = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const auto row = GaussianRow(seed);
    with += SquaredError(row, ThereAndBack(GetParam(), row, importance), importance);
    without += SquaredError(row, ThereAndBack(GetParam(), row), importance);
  }
  const bool uses_it = Info(GetParam()).block_elements > 1 && GetParam() != DType::kQ8_0;
  if (uses_it) {
    EXPECT_LT(with, without * 0.97);
  } else {
    EXPECT_EQ(with, without);
  }
}

INSTANTIATE_TEST_SUITE_P(All, QuantizeEveryType,
                         ::testing::Values(DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,
                                           DType::kQ5_1, DType::kQ8_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL),
                         TypeName);

TEST(Quantize, NotANumberCountsAsZeroInBlocks) {
  auto row = GaussianRow(7);
  row[40] = NAN;
  auto same = row;
  same[40] = 0;
  EXPECT_TRUE(Quantize(DType::kQ4_K, row) == Quantize(DType::kQ4_K, same));
  EXPECT_TRUE(Quantize(DType::kQ8_0, row) == Quantize(DType::kQ8_0, same));
  EXPECT_TRUE(std::isnan(ThereAndBack(DType::kF16, row)[40]));
}

TEST(Quantize, HalvesEndAtTheLargest) {
  EXPECT_EQ(ThereAndBack(DType::kF16, std::vector<float>{1e9f})[0], 65504.0f);
  EXPECT_EQ(ThereAndBack(DType::kF16, std::vector<float>{-INFINITY})[0], -65504.0f);
}

TEST(Quantize, RowBytesNamesTheBlockThatDoesNotFit) {
  EXPECT_EQ(*QuantizedRowBytes(DType::kQ4_K, 512), 288);
  EXPECT_EQ(*QuantizedRowBytes(DType::kF32, 3), 12);
  const auto refused = QuantizedRowBytes(DType::kQ6_K, 640);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(refused.error().message, HasSubstr("rows of 640 elements cannot be Q6_K, whose blocks have 256 elements"));
}

TEST(QuantizeDeathTest, SpansOfOtherLengthsAreABug) {
  const std::vector<float> row(64);
  std::vector<std::byte> bytes(68);
  EXPECT_DEATH(QuantizeRow(DType::kQ8_0, row, std::span(bytes).first(67)), "num_bytes");
  EXPECT_DEATH(QuantizeRow(DType::kQ8_0, std::span(row).first(33), bytes), "num_bytes");
  EXPECT_DEATH(QuantizeRow(DType::kQ8_0, row, bytes, std::span(row).first(1)), "importance");
}

TEST(FitAffine, FindsAGridThatIsThere) {
  std::vector<float> values;
  values.reserve(16);
  for (int i = 0; i < 16; ++i) values.push_back(static_cast<float>(i) * 0.05f - 0.3f);
  const std::vector<float> weights(values.size(), 1.0f);
  const AffineFit fit = FitAffine(values, weights, 15, MinimumSign::kAny);
  EXPECT_NEAR(fit.scale, 0.05f, 1e-6f);
  EXPECT_NEAR(fit.minimum, -0.3f, 1e-6f);
}

TEST(FitAffine, MinimumStaysAtOrBelowZeroWhereItMust) {
  const std::vector<float> values = {0.5f, 0.6f, 0.7f, 0.8f};
  const std::vector<float> weights(values.size(), 1.0f);
  EXPECT_EQ(FitAffine(values, weights, 15, MinimumSign::kNeverAbove0).minimum, 0);
  EXPECT_NEAR(FitAffine(values, weights, 15, MinimumSign::kAny).minimum, 0.5f, 1e-5f);
}

}  // namespace
}  // namespace autoglm
