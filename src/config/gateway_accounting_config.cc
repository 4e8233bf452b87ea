#include "config/gateway_accounting_config.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "config/host_port.h"
#include "config/yaml_setters.h"

namespace autoglm::gateway {
namespace {

constexpr size_t kMaxPrices = 1024;
constexpr uint16_t kRedisPort = 6379;

using WhenUnreachable = RedisConfig::WhenUnreachable;
constexpr NameTable<WhenUnreachable, 3> kWhenUnreachable = {
    {{"local", WhenUnreachable::kLocal}, {"closed", WhenUnreachable::kClosed}, {"open", WhenUnreachable::kOpen}}};

Status SetRedisAddress(RedisConfig& redis, const YamlValue& value) {
  AUTOGLM_TRY(HostPort address, value.Parse([](const std::string& text) { return ParseHostPort(text, kRedisPort); }));
  redis.host = std::move(address.host);
  redis.port = address.port;
  return {};
}

Result<WhenUnreachable> ParseWhenUnreachable(const std::string& text) { return ParseName(text, kWhenUnreachable); }

constexpr std::array kRedisFields = {
    YamlField<RedisConfig>{"address", SetRedisAddress},
    YamlField<RedisConfig>{"user", SetText<&RedisConfig::user>},
    YamlField<RedisConfig>{"password", SetText<&RedisConfig::password>},
    YamlField<RedisConfig>{"database", SetInteger<&RedisConfig::database, 0, 65'535>},
    YamlField<RedisConfig>{"prefix", SetText<&RedisConfig::prefix>},
    YamlField<RedisConfig>{"timeout", SetTime<&RedisConfig::timeout, 1, 60'000>},
    YamlField<RedisConfig>{"when_unreachable", SetParsed<&RedisConfig::when_unreachable, ParseWhenUnreachable>},
};

constexpr std::array kBudgetFields = {
    YamlField<GatewayConfig>{"database", SetText<&GatewayConfig::budget_database>},
};

constexpr double kMaxPrice = 1e6;
constexpr std::array kPriceFields = {
    YamlField<PriceConfig>{"model", SetText<&PriceConfig::model>},
    YamlField<PriceConfig>{"input_per_million", SetReal<&PriceConfig::input_per_million, 0.0, kMaxPrice>},
    YamlField<PriceConfig>{"output_per_million", SetReal<&PriceConfig::output_per_million, 0.0, kMaxPrice>},
};

}  // namespace

Status SetRedis(GatewayConfig& config, const YamlValue& value) {
  RedisConfig redis;
  AUTOGLM_TRY_VOID(value.IsMap() ? ReadFields(value, kRedisFields, redis) : SetRedisAddress(redis, value));
  if (!redis.user.empty() && redis.password.empty()) return value.Find("user")->Refuse("needs a 'password' beside it");
  config.redis = std::move(redis);
  return {};
}

Status SetBudgets(GatewayConfig& config, const YamlValue& value) { return ReadFields(value, kBudgetFields, config); }

Status SetPrices(GatewayConfig& config, const YamlValue& value) {
  AUTOGLM_TRY(const std::vector<YamlValue> items, value.Items("prices"));
  if (items.size() > kMaxPrices) return value.Refuse(fmt::format("must be at most {}", kMaxPrices));
  for (const YamlValue& item : items) {
    PriceConfig price;
    AUTOGLM_TRY_VOID(ReadFields(item, kPriceFields, price));
    if (price.model.empty()) return item.Refuse("needs 'model'");
    config.prices.push_back(std::move(price));
  }
  return {};
}

}  // namespace autoglm::gateway
