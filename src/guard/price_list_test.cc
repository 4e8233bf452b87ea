#include "guard/price_list.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace autoglm::guard {
namespace {

TEST(PriceList, WithoutPrices_TokensAreCounted) {
  const PriceList prices({});
  EXPECT_EQ(prices.CostOf("any", 3, 4), 7'000'000);
  EXPECT_EQ(prices.CostOf("any", -5, 4), 4'000'000);
}

TEST(PriceList, FirstPatternThatFits_Counts) {
  const PriceList prices(
      {{.model = "chat-*", .input_per_million = 3, .output_per_million = 15}, {.model = "*-9b", .input_per_million = 1}});
  EXPECT_EQ(prices.CostOf("chat-9b", 1000, 100), 3000 + 1500);
  EXPECT_EQ(prices.CostOf("small-9b", 1000, 100), 1000);
  EXPECT_EQ(prices.CostOf("other", 1000, 100), 0) << "free";
}

TEST(PriceList, PartsOfAMillionth_AreRoundedUpOnce) {
  const PriceList prices({{.model = "*", .input_per_million = 0.05, .output_per_million = 0.1}});
  EXPECT_EQ(prices.CostOf("m", 1, 0), 1);
  EXPECT_EQ(prices.CostOf("m", 100, 0), 5) << "not 6, whatever 0.05 is in binary";
  EXPECT_EQ(prices.CostOf("m", 10, 10), 2);
}

TEST(PriceList, AbsurdCounts_DoNotOverflow) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  EXPECT_GT(PriceList({}).CostOf("m", kMost, kMost), 0);
  EXPECT_GT(PriceList({{.model = "*", .input_per_million = 1e9, .output_per_million = 1e9}}).CostOf("m", kMost, kMost), 0);
}

}  // namespace
}  // namespace autoglm::guard
