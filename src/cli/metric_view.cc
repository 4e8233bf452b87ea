#include "cli/metric_view.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <set>
#include <utility>

namespace autoglm {
namespace {

bool Fits(const slo::Sample& sample, const MetricView::Labels& labels) {
  return std::ranges::all_of(labels, [&](const auto& label) {
    const auto found = sample.series.labels.find(label.first);
    return found != sample.series.labels.end() && found->second == label.second;
  });
}

double BoundOf(const std::string& text) {
  if (text == "+Inf") return std::numeric_limits<double>::infinity();
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

void MetricView::Take(std::string_view exposition, Time now) {
  before_ = std::move(now_);
  now_ = {.at = now, .samples = {}};
  for (slo::Sample& sample : slo::ParseExposition(exposition)) now_.samples[sample.series.name].push_back(std::move(sample));
}

double MetricView::Sum(const Moment& moment, const std::string& name, const Labels& labels) {
  const auto found = moment.samples.find(name);
  if (found == moment.samples.end()) return 0;
  double sum = 0;
  for (const slo::Sample& sample : found->second) sum += Fits(sample, labels) ? sample.value : 0;
  return sum;
}

double MetricView::Value(const std::string& name, const Labels& labels) const { return Sum(now_, name, labels); }

double MetricView::Increase(const std::string& name, const Labels& labels) const {
  const double now = Sum(now_, name, labels);
  const double before = Sum(before_, name, labels);
  return now >= before ? now - before : now;
}

double MetricView::Rate(const std::string& name, const Labels& labels) const {
  const double seconds = std::chrono::duration<double>(now_.at - before_.at).count();
  return has_interval() && seconds > 0 ? Increase(name, labels) / seconds : 0;
}

std::optional<double> MetricView::Quantile(double quantile, const std::string& name, const Labels& labels) const {
  std::map<double, double> counts;  // cumulative, by bound
  for (const auto& [moment, sign] : {std::pair(&now_, 1.0), std::pair(&before_, -1.0)}) {
    const auto found = moment->samples.find(name + "_bucket");
    if (found == moment->samples.end()) continue;
    for (const slo::Sample& sample : found->second) {
      const auto bound = sample.series.labels.find("le");
      if (bound != sample.series.labels.end() && Fits(sample, labels)) counts[BoundOf(bound->second)] += sign * sample.value;
    }
  }
  if (counts.empty() || counts.rbegin()->second <= 0) return std::nullopt;
  const double rank = quantile * counts.rbegin()->second;
  double lower = 0;
  double below = 0;
  for (const auto& [bound, count] : counts) {
    if (count >= rank) {
      if (bound == std::numeric_limits<double>::infinity()) return lower;
      return count > below ? lower + (bound - lower) * (rank - below) / (count - below) : bound;
    }
    lower = bound;
    below = count;
  }
  return lower;
}

std::vector<std::string> MetricView::LabelValues(const std::string& name, const std::string& label) const {
  std::set<std::string> values;
  if (const auto found = now_.samples.find(name); found != now_.samples.end()) {
    for (const slo::Sample& sample : found->second) {
      if (const auto value = sample.series.labels.find(label); value != sample.series.labels.end()) values.insert(value->second);
    }
  }
  return {values.begin(), values.end()};
}

}  // namespace autoglm
