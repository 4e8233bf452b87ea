#pragma once

#include <vector>

#include "base/result.h"
#include "config/gateway_config.h"
#include "config/gateway_upstream_config.h"
#include "config/yaml_value.h"

namespace autoglm::gateway {

// The file's routes. What a route does not say is as in `defaults`.
Result<std::vector<RouteConfig>> ReadRoutes(const YamlValue& list, const RouteConfig& defaults, const NamedUpstreams& named);

}  // namespace autoglm::gateway
