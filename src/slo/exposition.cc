#include "slo/exposition.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/name_pattern.h"
#include "config/values.h"

namespace autoglm::slo {
namespace {

constexpr double kLeastUptimeS = 60;  // before which a mean says nothing

// Where name and labels end: behind the bracket that is in no quotes, or at the first space.
size_t SeriesEnd(std::string_view line) {
  bool is_quoted = false;
  bool has_labels = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (is_quoted && line[i] == '\\') {
      ++i;
    } else if (line[i] == '"') {
      is_quoted = !is_quoted;
    } else if (!is_quoted && line[i] == '{') {
      has_labels = true;
    } else if (!is_quoted && line[i] == '}') {
      return i + 1;
    } else if (!has_labels && line[i] == ' ') {
      return i;
    }
  }
  return line.size();
}

std::optional<Sample> ParseSample(std::string_view line) {
  if (line.empty() || line.front() == '#') return std::nullopt;
  const size_t end = SeriesEnd(line);
  const size_t begin = line.find_first_not_of(' ', end);
  if (begin == std::string_view::npos) return std::nullopt;
  const size_t value_end = std::min(line.find(' ', begin), line.size());
  std::optional<Selector> series = ParseSelector(line.substr(0, end));
  constexpr double kMax = std::numeric_limits<double>::max();
  const Result<double> value = ParseReal(line.substr(begin, value_end - begin), -kMax, kMax);
  if (!series || !value) return std::nullopt;
  return Sample{*std::move(series), *value};
}

bool HasLabel(const Selector& series, const std::string& label, const std::string& pattern) {
  if (pattern.empty()) return true;
  const auto found = series.labels.find(label);
  return found != series.labels.end() && FitsPattern(found->second, pattern);
}

bool IsSelected(const Selector& series, const Objective& objective, Source source) {
  const Selection& selection = objective.selection;
  const bool is_requests = objective.indicator == Indicator::kAvailability;
  if (is_requests) {
    const auto code = series.labels.find("code");
    const Result<int64_t> status =
        code == series.labels.end() ? Fail(ErrorCode::kNotFound, "") : ParseInteger(code->second, 0, 999);
    if (!status || OutcomeOfStatus(static_cast<int>(*status), objective.count_429) == Outcome::kLeftOut) return false;
  }
  const bool is_any_api = is_requests && source == Source::kServer && selection.path.empty();
  return HasLabel(series, "model_name", selection.model) && HasLabel(series, "slo_class", selection.slo_class) &&
         HasLabel(series, "route", selection.route) && HasLabel(series, "path", is_any_api ? "/v1/*" : selection.path);
}

}  // namespace

std::vector<Sample> ParseExposition(std::string_view text) {
  std::vector<Sample> samples;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (std::optional<Sample> sample = ParseSample(line)) samples.push_back(*std::move(sample));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return samples;
}

ExposedObjective FindExposed(const std::vector<Sample>& samples, const Objective& objective, Source source, double now_unix_s) {
  ExposedObjective exposed;
  if (objective.indicator == Indicator::kRawRatio) return exposed;
  const std::string histogram(HistogramName(source, objective.indicator));
  const std::string counted = objective.has_threshold() ? histogram + "_count" : std::string(RequestsName(source));
  double num_requests = 0;
  std::optional<double> started;
  for (const Sample& sample : samples) {
    if (sample.series.name == "process_start_time_seconds") started = sample.value;
    if (!IsSelected(sample.series, objective, source)) continue;
    if (sample.series.name == counted) num_requests += sample.value;
    if (!objective.has_threshold() || sample.series.name != histogram + "_bucket") continue;
    const auto le = sample.series.labels.find("le");
    if (le == sample.series.labels.end()) continue;
    if (const Result<double> boundary = ParseReal(le->second, 0, 1e12)) exposed.boundaries.push_back(*boundary);
  }
  std::ranges::sort(exposed.boundaries);
  const auto repeated = std::ranges::unique(exposed.boundaries);
  exposed.boundaries.erase(repeated.begin(), repeated.end());
  if (started && now_unix_s - *started >= kLeastUptimeS) {
    exposed.requests_per_hour = num_requests / ((now_unix_s - *started) / 3600);
  }
  return exposed;
}

}  // namespace autoglm::slo
