#include "telemetry/openmetrics.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <string>

namespace autoglm {
namespace {

constexpr std::string_view kTotal = "_total";

// Shortest that reads back the same; whole numbers with ".0", as the standard writes bounds.
std::string NumberText(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

std::string BoundText(double value) {
  std::string text = NumberText(value);
  if (text.find_first_of(".eEnI") == std::string::npos) text += ".0";
  return text;
}

void AppendEscaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '\\' || c == '"') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
}

std::string LabelText(const std::vector<prometheus::ClientMetric::Label>& labels, std::string_view bound = {}) {
  std::string text;
  const auto add = [&text](std::string_view name, std::string_view value) {
    text += text.empty() ? "{" : ",";
    text += name;
    text += "=\"";
    AppendEscaped(text, value);
    text += '"';
  };
  for (const auto& label : labels) add(label.name, label.value);
  if (!bound.empty()) add("le", bound);
  if (!text.empty()) text += '}';
  return text;
}

class Exposition {
 public:
  explicit Exposition(const ExemplarsOf& exemplars_of) : exemplars_of_(exemplars_of) {}

  void Add(const prometheus::MetricFamily& family) {
    if (family.metric.empty()) return;
    const bool is_counter = family.type == prometheus::MetricType::Counter;
    std::string_view name = family.name;
    // A counter's family has no "_total", its samples do.
    if (is_counter && name.ends_with(kTotal)) name.remove_suffix(kTotal.size());
    out_ += fmt::format("# TYPE {} {}\n# HELP {} ", name, TypeName(family.type), name);
    AppendEscaped(out_, family.help);
    out_ += '\n';
    for (const prometheus::ClientMetric& metric : family.metric) {
      if (family.type == prometheus::MetricType::Histogram) {
        AddHistogram(name, metric);
      } else if (is_counter) {
        out_ += fmt::format("{}_total{} {}\n", name, LabelText(metric.label), NumberText(metric.counter.value));
      } else {
        out_ += fmt::format("{}{} {}\n", name, LabelText(metric.label), NumberText(metric.gauge.value));
      }
    }
  }

  std::string Take() {
    out_ += "# EOF\n";
    return std::move(out_);
  }

 private:
  static std::string_view TypeName(prometheus::MetricType type) {
    if (type == prometheus::MetricType::Counter) return "counter";
    return type == prometheus::MetricType::Histogram ? "histogram" : "gauge";
  }

  void AddHistogram(std::string_view name, const prometheus::ClientMetric& metric) {
    prometheus::Labels labels;
    for (const auto& label : metric.label) labels[label.name] = label.value;
    const std::vector<std::optional<Exemplar>> exemplars = exemplars_of_(SeriesName(name, labels));
    for (size_t i = 0; i < metric.histogram.bucket.size(); ++i) {
      const auto& bucket = metric.histogram.bucket[i];
      out_ +=
          fmt::format("{}_bucket{} {}", name, LabelText(metric.label, BoundText(bucket.upper_bound)), bucket.cumulative_count);
      if (i < exemplars.size() && exemplars[i]) {
        const Exemplar& exemplar = *exemplars[i];
        out_ += fmt::format(" # {{trace_id=\"{}\"}} {} {:.3f}", exemplar.trace.Hex(), NumberText(exemplar.value),
                            exemplar.unix_seconds);
      }
      out_ += '\n';
    }
    out_ += fmt::format("{}_count{} {}\n{}_sum{} {}\n", name, LabelText(metric.label), metric.histogram.sample_count, name,
                        LabelText(metric.label), NumberText(metric.histogram.sample_sum));
  }

  const ExemplarsOf& exemplars_of_;
  std::string out_;
};

}  // namespace

std::string SeriesName(std::string_view name, const prometheus::Labels& labels) {
  std::string text(name);
  for (const auto& [key, value] : labels) {
    text += '\n';
    text += key;
    text += '=';
    text += value;
  }
  return text;
}

std::string RenderOpenMetrics(std::span<const prometheus::MetricFamily> families, const ExemplarsOf& exemplars_of) {
  Exposition exposition(exemplars_of);
  for (const prometheus::MetricFamily& family : families) exposition.Add(family);
  return exposition.Take();
}

}  // namespace autoglm
