#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "gateway/route.h"
#include "http/server.h"

namespace autoglm::gateway {

// What of a request decides about its route.
struct RouteQuery {
  const http::Request& request;
  std::string_view model;
  std::string_view tenant;
  std::string_view sticky;  // the same for requests that belong together: percentages keep them on one route
};

// The routes in the order of the configuration. Immutable.
class RouteTable {
 public:
  explicit RouteTable(std::vector<std::shared_ptr<Route>> routes) : routes_(std::move(routes)) {}

  // The first that takes the request; nullptr where none does.
  const std::shared_ptr<Route>* Find(const RouteQuery& query) const;
  const std::shared_ptr<Route>* ByName(std::string_view name) const;
  const std::vector<std::shared_ptr<Route>>& routes() const { return routes_; }

 private:
  const std::vector<std::shared_ptr<Route>> routes_;
};

// A number in [0, 100) that is the same for the same text and name.
double PercentOf(std::string_view sticky, std::string_view name);

}  // namespace autoglm::gateway
