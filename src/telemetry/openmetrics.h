#pragma once

#include <prometheus/labels.h>
#include <prometheus/metric_family.h>

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "telemetry/metric_set.h"

namespace autoglm {

// One text for a series: its name and labels in order.
std::string SeriesName(std::string_view name, const prometheus::Labels& labels);

// By bucket, for the series of that name; empty: none.
using ExemplarsOf = std::function<std::vector<std::optional<Exemplar>>(const std::string& series)>;

// The text of an exposition. Source: OpenMetrics 1.0.0.
std::string RenderOpenMetrics(std::span<const prometheus::MetricFamily> families, const ExemplarsOf& exemplars_of);

}  // namespace autoglm
