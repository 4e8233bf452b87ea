#include "config/gateway_route_config.h"

#include <fmt/format.h>

#include <set>
#include <string>
#include <utility>

#include "config/gateway_discovery_config.h"
#include "config/gateway_match_config.h"
#include "config/gateway_policy_config.h"
#include "config/gateway_traffic_config.h"
#include "config/yaml_setters.h"

namespace autoglm::gateway {
namespace {

constexpr size_t kMaxRoutes = 1024;
constexpr size_t kMaxMirrors = 64;  // of a route

constexpr std::array kMirrorFields = {
    YamlField<MirrorConfig>{"route", SetText<&MirrorConfig::route>},
    YamlField<MirrorConfig>{"percent", SetReal<&MirrorConfig::percent, 0.0, 100.0>},
};

Status SetMirrors(RouteConfig& route, const YamlValue& value) {
  AUTOGLM_TRY(const std::vector<YamlValue> items, value.Items("routes"));
  if (items.size() > kMaxMirrors) return value.Refuse(fmt::format("must be at most {}", kMaxMirrors));
  for (const YamlValue& item : items) {
    MirrorConfig mirror;
    if (item.IsPlain()) {
      AUTOGLM_TRY(mirror.route, item.Parse(ParsePlainText));
    } else {
      AUTOGLM_TRY_VOID(ReadFields(item, kMirrorFields, mirror));
      if (mirror.route.empty()) return item.Refuse("needs 'route'");
    }
    route.mirrors.push_back(std::move(mirror));
  }
  return {};
}

constexpr std::array kDegradeFields = {
    YamlField<DegradeConfig>{"cap_tokens_above", SetReal<&DegradeConfig::cap_tokens_above, 0.0, 2.0>},
    YamlField<DegradeConfig>{"cap_tokens", SetInteger<&DegradeConfig::cap_tokens, 1, 1 << 24>},
    YamlField<DegradeConfig>{"fallback_above", SetReal<&DegradeConfig::fallback_above, 0.0, 2.0>},
};

constexpr std::array kOwnFields = {
    YamlField<RouteConfig>{"name", SetParsed<&RouteConfig::name, ParseGatewayName>},
    YamlField<RouteConfig>{"match", SetMatch},
    YamlField<RouteConfig>{"upstreams", SetLater<RouteConfig>},
    YamlField<RouteConfig>{"discovery", SetDiscovery},
    YamlField<RouteConfig>{"policy", SetPolicy},
    YamlField<RouteConfig>{"rewrite_model", SetText<&RouteConfig::rewrite_model>},
    YamlField<RouteConfig>{"tokenizer", SetText<&RouteConfig::tokenizer>},
    YamlField<RouteConfig>{"fallback", SetTexts<&RouteConfig::fallback>},
    YamlField<RouteConfig>{"mirror", SetMirrors},
    YamlField<RouteConfig>{"degrade", SetMap<&RouteConfig::degrade, kDegradeFields>},
};

constexpr std::array kRouteFields = Joined(kOwnFields, kTrafficFields);

Result<RouteConfig> ReadRoute(const YamlValue& map, size_t number, const RouteConfig& defaults, const NamedUpstreams& named) {
  RouteConfig route = defaults;
  route.name = fmt::format("route-{}", number);
  AUTOGLM_TRY_VOID(ReadFields(map, kRouteFields, route));
  if (const auto upstreams = map.Find("upstreams")) {
    AUTOGLM_TRY(route.upstreams, ReadUpstreams(*upstreams, named, {}));
  }
  if (route.upstreams.empty() && route.discovery.empty()) {
    return map.FailHere(fmt::format("the route '{}' needs 'upstreams' or 'discovery'", route.name));
  }
  if (route.degrade.fallback_above <= 1 && route.fallback.empty()) {
    return map.Find("degrade")->Refuse("fallback_above needs a route under 'fallback'");
  }
  return route;
}

}  // namespace

Result<std::vector<RouteConfig>> ReadRoutes(const YamlValue& list, const RouteConfig& defaults, const NamedUpstreams& named) {
  AUTOGLM_TRY(const std::vector<YamlValue> items, list.Items("routes"));
  if (items.empty() || items.size() > kMaxRoutes) return list.Refuse(fmt::format("must be 1 to {} routes", kMaxRoutes));
  std::vector<RouteConfig> routes;
  std::set<std::string> names;
  for (const YamlValue& item : items) {
    AUTOGLM_TRY(RouteConfig route, ReadRoute(item, routes.size() + 1, defaults, named));
    if (!names.insert(route.name).second)
      return item.FailHere(fmt::format("the route '{}' stands here a second time", route.name));
    routes.push_back(std::move(route));
  }
  return routes;
}

}  // namespace autoglm::gateway
