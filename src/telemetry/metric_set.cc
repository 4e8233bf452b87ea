#include "telemetry/metric_set.h"

#include <fmt/format.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "telemetry/metric_catalogue.h"
#include "telemetry/openmetrics.h"
#include "telemetry/utc_time.h"

namespace autoglm {
namespace {

std::string TextOf(std::string_view text) { return std::string(text); }

// "a, b" -> a and b.
std::vector<std::string> Split(std::string_view names) {
  std::vector<std::string> parts;
  while (!names.empty()) {
    const size_t end = std::min(names.find(", "), names.size());
    parts.emplace_back(names.substr(0, end));
    names.remove_prefix(std::min(end + 2, names.size()));
  }
  return parts;
}

// As vLLM labels them: each engine by a number.
prometheus::MetricFamily AsVllm(prometheus::MetricFamily family, const std::string& name) {
  family.name = "vllm:" + name;
  for (prometheus::ClientMetric& metric : family.metric) metric.label.push_back({"engine", "0"});
  return family;
}

}  // namespace

TracedHistogram::TracedHistogram(prometheus::Histogram& histogram, std::vector<double> bounds)
    : histogram_(histogram), bounds_(std::move(bounds)), exemplars_(bounds_.size() + 1) {}

void TracedHistogram::Observe(double value, const TraceId& trace) {
  histogram_.Observe(value);
  if (!trace.is_set()) return;
  const auto bucket = std::ranges::lower_bound(bounds_, value) - bounds_.begin();
  const std::lock_guard lock(mutex_);
  exemplars_[static_cast<size_t>(bucket)] = Exemplar{.trace = trace, .value = value, .unix_seconds = UnixSeconds()};
}

std::vector<std::optional<Exemplar>> TracedHistogram::exemplars() const {
  const std::lock_guard lock(mutex_);
  return exemplars_;
}

MetricFormat MetricFormatFor(std::string_view accept) {
  const bool is_open = accept.find("application/openmetrics-text") != std::string_view::npos;
  return is_open ? MetricFormat::kOpenMetrics : MetricFormat::kPrometheusText;
}

std::string_view ContentTypeOf(MetricFormat format) {
  return format == MetricFormat::kOpenMetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                              : "text/plain; version=0.0.4; charset=utf-8";
}

MetricSet::MetricSet(MetricOptions options) : options_(std::move(options)), process_(registry_) {}

prometheus::Family<prometheus::Counter>& MetricSet::Counters(std::string_view name) {
  const MetricInfo& info = MetricNamed(name);
  return prometheus::BuildCounter().Name(TextOf(name)).Help(TextOf(info.help)).Register(registry_);
}

prometheus::Family<prometheus::Gauge>& MetricSet::Gauges(std::string_view name) {
  const MetricInfo& info = MetricNamed(name);
  return prometheus::BuildGauge().Name(TextOf(name)).Help(TextOf(info.help)).Register(registry_);
}

prometheus::Family<prometheus::Histogram>& MetricSet::Histograms(std::string_view name) {
  const MetricInfo& info = MetricNamed(name);
  return prometheus::BuildHistogram().Name(TextOf(name)).Help(TextOf(info.help)).Register(registry_);
}

std::vector<double> MetricSet::WithPromised(std::vector<double> bounds) const {
  bounds.insert(bounds.end(), options_.latency_bounds.begin(), options_.latency_bounds.end());
  std::ranges::sort(bounds);
  const auto repeated = std::ranges::unique(bounds);
  bounds.erase(repeated.begin(), repeated.end());
  return bounds;
}

TracedHistogram& MetricSet::AddLatency(std::string_view name, const prometheus::Labels& labels, std::vector<double> bounds) {
  bounds = WithPromised(std::move(bounds));
  prometheus::Histogram& histogram = Histograms(name).Add(labels, bounds);
  const std::lock_guard lock(mutex_);
  std::unique_ptr<TracedHistogram>& traced = latencies_[SeriesName(name, labels)];
  if (traced == nullptr) traced = std::make_unique<TracedHistogram>(histogram, std::move(bounds));
  return *traced;
}

std::vector<prometheus::MetricFamily> MetricSet::Collect() {
  process_.Update();
  std::vector<prometheus::MetricFamily> families = registry_.Collect();
  if (!options_.has_vllm_names) return families;
  std::vector<prometheus::MetricFamily> aliases;
  for (const prometheus::MetricFamily& family : families) {
    for (const std::string& name : Split(MetricNamed(family.name).vllm)) aliases.push_back(AsVllm(family, name));
  }
  std::ranges::move(aliases, std::back_inserter(families));
  return families;
}

std::string MetricSet::Render(MetricFormat format) {
  if (format == MetricFormat::kPrometheusText) return prometheus::TextSerializer().Serialize(Collect());
  // Exemplars before counts, which are written in the other order: no bucket has one without having counted it.
  std::map<std::string, std::vector<std::optional<Exemplar>>> exemplars;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [series, histogram] : latencies_) exemplars.emplace(series, histogram->exemplars());
  }
  return RenderOpenMetrics(Collect(), [&exemplars](const std::string& series) {
    const auto found = exemplars.find(series);
    return found == exemplars.end() ? std::vector<std::optional<Exemplar>>() : found->second;
  });
}

}  // namespace autoglm
