#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "slo/objective.h"

namespace autoglm::slo {

// A PromQL selector or a line of an exposition, taken apart: name{label="value", ...}. Of a matcher the operator is a part of the
// value: `=~".*"`.
struct Selector {
  std::string name;
  std::map<std::string, std::string> labels;

  bool operator==(const Selector&) const = default;
};
// nullopt for anything else, such as an expression, or a label that stands twice.
std::optional<Selector> ParseSelector(std::string_view text);

// From queries for metrics of this server or its gateway, as RatioQueriesOf writes them: what they count. Leaves an objective
// whose queries are others as kRawRatio, to be asked of Prometheus. Sets indicator, objective_name, unit, and clears the queries.
void RecognizeOwnMetrics(Objective& objective);

}  // namespace autoglm::slo
