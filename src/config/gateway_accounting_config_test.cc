#include "config/gateway_accounting_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "support/gateway_yaml.h"

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

TEST(GatewayAccountingConfig, Redis_IsAnAddressOrAMap) {
  EXPECT_FALSE(ReadBeforeRoutes("").redis);
  EXPECT_EQ(ReadBeforeRoutes("redis: cache\n").redis, (RedisConfig{.host = "cache"}));
  EXPECT_EQ(ReadBeforeRoutes("redis: '[::1]:7000'\n").redis, (RedisConfig{.host = "::1", .port = 7000}));
  const RedisConfig expected{.host = "cache",
                             .port = 7000,
                             .user = "gateway",
                             .password = "secret",
                             .database = 3,
                             .prefix = "llm:",
                             .timeout = 20ms,
                             .when_unreachable = RedisConfig::WhenUnreachable::kClosed};
  EXPECT_EQ(ReadBeforeRoutes("redis: {address: 'cache:7000', user: gateway, password: secret, database: 3, prefix: 'llm:',\n"
                             "        timeout: 20ms, when_unreachable: closed}\n")
                .redis,
            expected);
}

TEST(GatewayAccountingConfig, BadRedis_IsRefused) {
  EXPECT_EQ(Refusal("redis: {when_unreachable: never}\n"),
            "gateway.yaml:1: when_unreachable: must be one of local, closed, open, not 'never'");
  EXPECT_EQ(Refusal("redis:\n  address: redis://a\n"),
            "gateway.yaml:2: address: must be an address and a port, such as 127.0.0.1:8000 or [::1]:8000, not 'redis://a'");
  EXPECT_EQ(Refusal("redis: {user: a}\n"), "gateway.yaml:1: user: needs a 'password' beside it");
  EXPECT_EQ(Refusal("redis: {timeout: 0}\n"),
            "gateway.yaml:1: timeout: must be a time such as 250ms, 2s or 5m, from 1ms to 1m, not '0'");
}

TEST(GatewayAccountingConfig, Prices_AreKeptInTheirOrder) {
  EXPECT_THAT(ReadBeforeRoutes("prices:\n"
                               "  - {model: 'large-*', input_per_million: 2.5, output_per_million: 10}\n"
                               "  - {model: '*', input_per_million: 1}\n")
                  .prices,
              ElementsAre(PriceConfig{.model = "large-*", .input_per_million = 2.5, .output_per_million = 10},
                          PriceConfig{.model = "*", .input_per_million = 1}));
}

TEST(GatewayAccountingConfig, BadPrices_AreRefused) {
  EXPECT_EQ(Refusal("prices:\n  - {input_per_million: 1}\n"), "gateway.yaml:2: an entry of prices: needs 'model'");
  EXPECT_EQ(Refusal("prices:\n  - {model: a, input_per_million: -1}\n"),
            "gateway.yaml:2: input_per_million: must be a number from 0 to 1000000, not '-1'");
  EXPECT_EQ(Refusal("prices: {a: 1}\n"), "gateway.yaml:1: prices: must be a list of prices");
}

}  // namespace
}  // namespace autoglm::gateway
