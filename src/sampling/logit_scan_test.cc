#include "sampling/logit_scan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "support/logits.h"

namespace autoglm {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Around every length at which a lane, a stride or a block ends.
const std::vector<size_t> kLengths = {1, 2, 3, 4, 5, 15, 16, 17, 31, 33, 63, 64, 65, 255, 256, 257, 511, 512, 1000, 5000};

TEST(LogitScan, FindBest_EveryPositionOfEveryLength) {
  for (const size_t length : kLengths) {
    for (size_t position = 0; position < length; position += 1 + length / 97) {
      auto logits = RandomLogits(length, 1, length);
      logits[position] = 50;
      const BestLogit best = FindBest(logits);
      ASSERT_EQ(best.token, static_cast<TokenId>(position)) << length;
      ASSERT_EQ(best.logit, 50);
    }
  }
}

TEST(LogitScan, FindBest_EqualLogitsGiveTheLowerToken) {
  std::vector<float> logits(1000, -1);
  EXPECT_EQ(FindBest(logits).token, 0);
  logits[999] = logits[701] = logits[700] = 3;
  EXPECT_EQ(FindBest(logits).token, 700);
  logits[255] = 3;
  EXPECT_EQ(FindBest(logits).token, 255);
}

TEST(LogitScan, FindBest_NanLosesAndNothingLeftIsMinusInfinity) {
  std::vector<float> logits(300, kNan);
  EXPECT_EQ(FindBest(logits).logit, -kInfinity);
  logits[299] = -5;
  EXPECT_EQ(FindBest(logits).token, 299);
  logits.assign(300, -kInfinity);
  EXPECT_EQ(FindBest(logits).token, 0);
  EXPECT_EQ(FindBest(logits).logit, -kInfinity);
  EXPECT_EQ(FindBest({}).logit, -kInfinity);
}

TEST(LogitScan, ExpNonPositive_IsExpToOneInAMillion) {
  for (double z = 0; z > -86.9; z -= 0.0137) {
    const auto argument = static_cast<float>(z);
    const double expected = std::exp(static_cast<double>(argument));
    ASSERT_NEAR(ExpNonPositive(argument) / expected, 1, 1e-6) << z;
  }
  EXPECT_EQ(ExpNonPositive(0), 1);
}

TEST(LogitScan, ExpNonPositive_IsZeroFarBelowAndForNan) {
  for (const float z : {-88.0f, -1e30f, -kInfinity, kNan}) EXPECT_EQ(ExpNonPositive(z), 0) << z;
}

TEST(LogitScan, SumWeights_AgreesWithDoublesForEveryLengthAndFloor) {
  for (const size_t length : kLengths) {
    auto logits = RandomLogits(length, 4, length);
    if (length > 3) logits[2] = kNan, logits[3] = -kInfinity;
    const Softmax softmax{.max_logit = MaxLogit(logits), .inverse_temperature = 1 / 0.7f};
    for (const float floor : {-kInfinity, -3.0f, softmax.max_logit}) {
      double expected = 0;
      for (const float logit : logits) {
        if (logit >= floor) expected += std::exp((static_cast<double>(logit) - softmax.max_logit) * softmax.inverse_temperature);
      }
      std::vector<double> block_sums(NumScanBlocks(length));
      EXPECT_NEAR(SumWeights(logits, softmax, floor, block_sums) / expected, 1, 1e-5) << length << " " << floor;
    }
  }
}

TEST(LogitScan, DrawFromAll_WalksTheTokensInOrder) {
  // Four tokens of equal weight, far apart: each gets a quarter of [0, 1).
  std::vector<float> logits(1500, -kInfinity);
  const std::vector<TokenId> tokens = {0, 255, 256, 1499};
  for (const TokenId token : tokens) logits[static_cast<size_t>(token)] = 2;
  const Softmax softmax{.max_logit = 2, .inverse_temperature = 1};
  std::vector<double> block_sums(NumScanBlocks(logits.size()));
  EXPECT_EQ(SumWeights(logits, softmax, -kInfinity, block_sums), 4);
  for (size_t i = 0; i < tokens.size(); ++i) {
    EXPECT_EQ(DrawFromAll(logits, softmax, -kInfinity, block_sums, static_cast<double>(i) / 4), tokens[i]);
    EXPECT_EQ(DrawFromAll(logits, softmax, -kInfinity, block_sums, (static_cast<double>(i) + 0.999999) / 4), tokens[i]);
  }
  // Rounding can carry the target past the last token, never past its block.
  EXPECT_EQ(DrawFromAll(logits, softmax, -kInfinity, block_sums, 1.0), 1499);
}

}  // namespace
}  // namespace autoglm
