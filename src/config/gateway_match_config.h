#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "config/gateway_config.h"
#include "config/yaml_value.h"

namespace autoglm::gateway {

// Which requests: what routes and faults have in common.
Status ReadPatterns(std::vector<std::string>& patterns, const YamlValue& value);
Status ReadHeaderPatterns(std::vector<std::pair<std::string, std::string>>& headers, const YamlValue& value);

// A route's match.
Status SetMatch(RouteConfig& route, const YamlValue& value);

}  // namespace autoglm::gateway
