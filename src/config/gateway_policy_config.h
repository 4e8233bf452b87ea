#pragma once

#include "base/result.h"
#include "config/gateway_config.h"
#include "config/yaml_value.h"

namespace autoglm::gateway {

// A route's policy: a name, or scorers with weights.
Status SetPolicy(RouteConfig& route, const YamlValue& value);

}  // namespace autoglm::gateway
