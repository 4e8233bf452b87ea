#include "gateway/route_table.h"

#include <xxhash.h>

#include <algorithm>

#include "gateway/header_match.h"

namespace autoglm::gateway {
namespace {

// Servers have other paths for those who run them; these must be named.
bool FitsPath(std::string_view path, const std::vector<std::string>& patterns) {
  return patterns.empty() ? path.starts_with("/v1/") : FitsAny(path, patterns);
}

bool Fits(const Route& route, const RouteQuery& query) {
  const MatchConfig& match = route.config().match;
  return FitsPath(query.request.path, match.paths) && FitsAny(query.model, match.models) &&
         FitsAny(query.tenant, match.tenants) && HeadersFit(query.request, match.headers) &&
         (match.percent >= 100 || PercentOf(query.sticky, route.name()) < match.percent);
}

}  // namespace

double PercentOf(std::string_view sticky, std::string_view name) {
  const XXH64_hash_t seed = XXH3_64bits(name.data(), name.size());
  return static_cast<double>(XXH3_64bits_withSeed(sticky.data(), sticky.size(), seed) >> 11) * 0x1.0p-53 * 100;
}

const std::shared_ptr<Route>* RouteTable::Find(const RouteQuery& query) const {
  const auto found = std::ranges::find_if(routes_, [&query](const auto& route) { return Fits(*route, query); });
  return found == routes_.end() ? nullptr : &*found;
}

const std::shared_ptr<Route>* RouteTable::ByName(std::string_view name) const {
  const auto found = std::ranges::find_if(routes_, [name](const auto& route) { return route->name() == name; });
  return found == routes_.end() ? nullptr : &*found;
}

}  // namespace autoglm::gateway
