#pragma once

#include "base/result.h"
#include "config/gateway_config.h"
#include "config/yaml_value.h"

namespace autoglm::gateway {

// What clients and operators connect to: listen, admin (off: no port of its own) and limits.
Status SetListen(GatewayConfig& config, const YamlValue& value);
Status SetAdmin(GatewayConfig& config, const YamlValue& value);
Status SetLimits(GatewayConfig& config, const YamlValue& value);

// Whether both may be listened on, and who could reach the admin port. `root` is the file.
Status CheckListeners(const GatewayConfig& config, const YamlValue& root);

}  // namespace autoglm::gateway
