#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "routing/upstream.h"

namespace autoglm::discovery {

inline constexpr int64_t kMetricsBytesMax = 4 << 20;

// One line of the Prometheus text format 0.0.4: name, labels in braces or none, value, perhaps a time stamp. Views refer to it.
struct MetricSample {
  std::string_view name;
  double value = 0;
};
// nullopt for comments, empty lines, and what is no sample.
std::optional<MetricSample> ParseMetricLine(std::string_view line);

// What a server of any known kind (vLLM, SGLang, llama-server, autoglm) says of itself: requests summed over models and ranks,
// memory in the mean. nullopt where none of it is there. Whatever else stands in the text is passed over.
std::optional<routing::UpstreamReport> ReportFromMetrics(std::string_view text);

}  // namespace autoglm::discovery
