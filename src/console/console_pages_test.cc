#include "console/console_pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "console/console_assets.h"

namespace autoglm {
namespace {

using ::testing::HasSubstr;

std::string HeaderOf(const http::Response& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return {};
}

TEST(ConsolePagesTest, EveryFileIsServedWithItsType) {
  for (const ConsoleAsset& asset : ConsoleAssets()) {
    const auto response = ConsolePage("/console/" + std::string(asset.name));
    ASSERT_TRUE(response) << asset.name;
    EXPECT_EQ(response->body, asset.content);
    EXPECT_NE(HeaderOf(*response, "Content-Type"), "application/octet-stream") << asset.name;
    EXPECT_THAT(HeaderOf(*response, "Content-Security-Policy"), HasSubstr("default-src 'self'"));
  }
  EXPECT_EQ(ConsolePage("/console/")->body, ConsolePage("/console/index.html")->body);
  EXPECT_THAT(ConsolePage("/console/chart.min.js")->body, HasSubstr("Chart.js v3"));
}

TEST(ConsolePagesTest, OthersAreNot) {
  EXPECT_FALSE(ConsolePage("/console/../etc/passwd"));
  EXPECT_FALSE(ConsolePage("/consoles"));
  EXPECT_FALSE(ConsolePage("/console/nothing.js"));
  EXPECT_EQ(ConsolePage("/console")->status, 308);
}

}  // namespace
}  // namespace autoglm
