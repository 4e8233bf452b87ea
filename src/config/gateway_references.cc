#include "config/gateway_references.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::gateway {
namespace {

using RouteNumbers = std::map<std::string, size_t, std::less<>>;  // by name

RouteNumbers NumbersOf(std::span<const RouteConfig> routes) {
  RouteNumbers numbers;
  for (const RouteConfig& route : routes) numbers.emplace(route.name, numbers.size());
  return numbers;
}

Status CheckName(const YamlValue& value, const RouteNumbers& numbers) {
  AUTOGLM_TRY(const std::string name, value.Text());
  if (numbers.contains(name)) return {};
  std::string names;
  for (const auto& [known, number] : numbers) names += (names.empty() ? "" : ", ") + known;
  return value.Refuse(fmt::format("there is no route '{}'; there are {}", value.AsWritten(), names));
}

Status CheckNames(const std::optional<YamlValue>& value, const RouteNumbers& numbers) {
  if (!value) return {};
  AUTOGLM_TRY(const std::vector<YamlValue> items, value->PlainItems());
  for (const YamlValue& item : items) AUTOGLM_TRY_VOID(CheckName(item, numbers));
  return {};
}

Status CheckMirrors(const std::optional<YamlValue>& value, const RouteNumbers& numbers, const std::string& itself) {
  if (!value) return {};
  AUTOGLM_TRY(const std::vector<YamlValue> items, value->Items("routes"));
  for (const YamlValue& item : items) {
    const YamlValue name = item.IsPlain() ? item : *item.Find("route");
    AUTOGLM_TRY_VOID(CheckName(name, numbers));
    AUTOGLM_TRY(const std::string text, name.Text());
    if (text == itself) return name.Refuse("is the route that it stands in");
  }
  return {};
}

// Goes from route to route by their fallbacks, to each once.
class FallbackWalk {
 public:
  FallbackWalk(std::span<const RouteConfig> routes, const RouteNumbers& numbers)
      : routes_(routes), numbers_(numbers), was_seen_(routes.size()) {}

  // The names of a circle that begins and ends with the same; empty: the fallbacks of `number` come to an end.
  std::string FindCircle(size_t number) {
    if (const auto begin = std::ranges::find(way_, number); begin != way_.end()) {
      std::string names;
      for (auto on = begin; on != way_.end(); ++on) names += routes_[*on].name + ", ";
      return names + routes_[number].name;
    }
    if (was_seen_[number]) return "";
    was_seen_[number] = true;
    way_.push_back(number);
    for (const std::string& next : routes_[number].fallback) {
      if (std::string circle = FindCircle(numbers_.find(next)->second); !circle.empty()) return circle;
    }
    way_.pop_back();
    return "";
  }

 private:
  std::span<const RouteConfig> routes_;
  const RouteNumbers& numbers_;
  std::vector<bool> was_seen_;
  std::vector<size_t> way_;  // from where it began to where it is
};

}  // namespace

Status CheckReferences(const YamlValue& root, std::span<const RouteConfig> routes) {
  const RouteNumbers numbers = NumbersOf(routes);
  AUTOGLM_TRY(const std::vector<YamlValue> items, root.Find("routes")->Items("routes"));
  for (size_t i = 0; i < routes.size(); ++i) {
    AUTOGLM_TRY_VOID(CheckNames(items[i].Find("fallback"), numbers));
    AUTOGLM_TRY_VOID(CheckMirrors(items[i].Find("mirror"), numbers, routes[i].name));
  }
  FallbackWalk walk(routes, numbers);
  for (size_t i = 0; i < routes.size(); ++i) {
    const std::string circle = walk.FindCircle(i);
    if (!circle.empty()) return items[i].Find("fallback")->Refuse(fmt::format("goes round in a circle: {}", circle));
  }

  const std::optional<YamlValue> faults = root.Find("faults");
  if (!faults) return {};
  AUTOGLM_TRY(const std::vector<YamlValue> entries, faults->Items("faults"));
  for (const YamlValue& fault : entries) {
    if (const auto match = fault.Find("match")) AUTOGLM_TRY_VOID(CheckNames(match->Find("route"), numbers));
  }
  return {};
}

}  // namespace autoglm::gateway
