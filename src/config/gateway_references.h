#pragma once

#include <span>

#include "base/result.h"
#include "config/gateway_config.h"
#include "config/yaml_value.h"

namespace autoglm::gateway {

// Whether the routes that routes and faults name are there, and fallbacks come to an end. `root` is the file that they stand in.
Status CheckReferences(const YamlValue& root, std::span<const RouteConfig> routes);

}  // namespace autoglm::gateway
