#pragma once

#include <array>

#include "config/gateway_config.h"
#include "config/yaml_value.h"

namespace autoglm::gateway {

Status SetTimeouts(RouteConfig& route, const YamlValue& value);
Status SetRetries(RouteConfig& route, const YamlValue& value);
Status SetHedging(RouteConfig& route, const YamlValue& value);
Status SetContinueStreams(RouteConfig& route, const YamlValue& value);
Status SetProbes(RouteConfig& route, const YamlValue& value);
Status SetHealth(RouteConfig& route, const YamlValue& value);
Status SetBreaker(RouteConfig& route, const YamlValue& value);
Status SetOutlier(RouteConfig& route, const YamlValue& value);
Status SetQueue(RouteConfig& route, const YamlValue& value);
Status SetPrefix(RouteConfig& route, const YamlValue& value);

// How requests of a route are dealt with: may stand in the file for all routes and in each route, which says what differs.
inline constexpr std::array kTrafficFields = {
    YamlField<RouteConfig>{"timeouts", SetTimeouts}, YamlField<RouteConfig>{"retries", SetRetries},
    YamlField<RouteConfig>{"hedging", SetHedging},   YamlField<RouteConfig>{"continue_streams", SetContinueStreams},
    YamlField<RouteConfig>{"probes", SetProbes},     YamlField<RouteConfig>{"health", SetHealth},
    YamlField<RouteConfig>{"breaker", SetBreaker},   YamlField<RouteConfig>{"outlier", SetOutlier},
    YamlField<RouteConfig>{"queue", SetQueue},       YamlField<RouteConfig>{"prefix", SetPrefix},
};

}  // namespace autoglm::gateway
