#pragma once

#include <span>
#include <string>
#include <string_view>

namespace autoglm {

enum class MetricType { kCounter, kGauge, kHistogram };
enum class MetricSource { kServer, kGateway, kBoth };

// Everything that is said about a metric, in one place: where it is made, told and written about, it comes from here.
struct MetricInfo {
  std::string_view name;
  MetricType type;
  std::string_view unit;
  std::string_view labels;  // "model_name, stage"
  std::string_view help;
  std::string_view vllm;  // names without the prefix "vllm:", separated by ", "; empty: vLLM has none
  std::string_view otel;  // of the OpenTelemetry convention for generative AI; empty: our own goes there
  MetricSource source;
};

std::span<const MetricInfo> MetricCatalogue();
// One that there is.
const MetricInfo& MetricNamed(std::string_view name);

// The tables of docs/METRICS.md.
std::string CatalogueMarkdown();

}  // namespace autoglm
