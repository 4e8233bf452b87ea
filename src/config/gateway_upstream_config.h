#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/gateway_config.h"
#include "config/yaml_value.h"

namespace autoglm::gateway {

using NamedUpstreams = std::map<std::string, UpstreamConfig, std::less<>>;

// A name that stands in headers, metrics and logs: 1 to 64 letters, digits, '.', '_' and '-'.
Result<std::string> ParseGatewayName(std::string_view text);

// The file's upstreams: what is to be said of each, or its URL alone.
Result<NamedUpstreams> ReadNamedUpstreams(const YamlValue& map);

// A list of upstreams, each a name of these, a URL, or what is to be said of it. What is not said is as in `like`.
Result<std::vector<UpstreamConfig>> ReadUpstreams(const YamlValue& list, const NamedUpstreams& named, const UpstreamConfig& like);

// What may be said of upstreams that are found elsewhere: not who they are.
Status ReadLike(UpstreamConfig& like, const YamlValue& value);

}  // namespace autoglm::gateway
