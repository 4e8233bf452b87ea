#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "slo/objective.h"
#include "slo/own_metrics.h"
#include "slo/prom_query.h"

namespace autoglm::slo {

// One line of what GET /metrics answers, in Prometheus' text format or OpenMetrics.
struct Sample {
  Selector series;
  double value = 0;
};
// Comments, time stamps, exemplars and what is no sample are passed over.
std::vector<Sample> ParseExposition(std::string_view text);

// What an exposition has for an objective.
struct ExposedObjective {
  std::vector<double> boundaries;           // of its histogram, ascending, each once, without infinity
  std::optional<double> requests_per_hour;  // in the mean since the process began
};
ExposedObjective FindExposed(const std::vector<Sample>& samples, const Objective& objective, Source source, double now_unix_s);

}  // namespace autoglm::slo
