#pragma once

#include "base/result.h"
#include "config/gateway_config.h"
#include "config/yaml_value.h"

namespace autoglm::gateway {

// A route's discovery: a list of where upstreams are found.
Status SetDiscovery(RouteConfig& route, const YamlValue& value);

}  // namespace autoglm::gateway
