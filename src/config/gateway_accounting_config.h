#pragma once

#include "base/result.h"
#include "config/gateway_config.h"
#include "config/yaml_value.h"

namespace autoglm::gateway {

// What is counted, where, and what it costs.
Status SetRedis(GatewayConfig& config, const YamlValue& value);
Status SetBudgets(GatewayConfig& config, const YamlValue& value);
Status SetPrices(GatewayConfig& config, const YamlValue& value);

}  // namespace autoglm::gateway
