#pragma once

#include "base/result.h"
#include "config/gateway_config.h"
#include "config/yaml_value.h"

namespace autoglm::gateway {

// The file's tracing.
Status SetTracing(GatewayConfig& config, const YamlValue& value);
// Its objectives: a file's name, or a map.
Status SetSlo(GatewayConfig& config, const YamlValue& value);

}  // namespace autoglm::gateway
