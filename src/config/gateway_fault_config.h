#pragma once

#include "base/result.h"
#include "config/gateway_config.h"
#include "config/yaml_value.h"

namespace autoglm::gateway {

// The file's faults, a list.
Status SetFaults(GatewayConfig& config, const YamlValue& value);

}  // namespace autoglm::gateway
