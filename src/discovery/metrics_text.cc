#include "discovery/metrics_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>

namespace autoglm::discovery {
namespace {

enum class Meaning { kRunning, kWaiting, kKvUsage };

struct KnownMetric {
  std::string_view name;
  Meaning meaning;
};
constexpr KnownMetric kKnownMetrics[] = {
    {"vllm:num_requests_running", Meaning::kRunning},
    {"vllm:num_requests_waiting", Meaning::kWaiting},
    {"vllm:kv_cache_usage_perc", Meaning::kKvUsage},
    {"vllm:gpu_cache_usage_perc", Meaning::kKvUsage},  // before 0.10; some versions have both
    {"sglang:num_running_reqs", Meaning::kRunning},
    {"sglang:num_queue_reqs", Meaning::kWaiting},
    {"sglang:token_usage", Meaning::kKvUsage},
    {"llamacpp:requests_processing", Meaning::kRunning},
    {"llamacpp:requests_deferred", Meaning::kWaiting},
    {"llamacpp:kv_cache_usage_ratio", Meaning::kKvUsage},
    {"autoglm_num_requests_running", Meaning::kRunning},
    {"autoglm_num_requests_waiting", Meaning::kWaiting},
    {"autoglm_kv_cache_usage_perc", Meaning::kKvUsage},
};

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

void SkipBlanks(std::string_view& rest) {
  while (!rest.empty() && IsBlank(rest.front())) rest.remove_prefix(1);
}

std::string_view TakeWord(std::string_view& rest) {
  const auto* const end = std::ranges::find_if(rest, [](char c) { return IsBlank(c) || c == '{' || c == '\r'; });
  const std::string_view word = rest.substr(0, static_cast<size_t>(end - rest.begin()));
  rest.remove_prefix(word.size());
  return word;
}

// Over "{a=\"x\",b=\"}\"}", whose braces and quotes within values do not count. False where it does not end.
bool SkipLabels(std::string_view& rest) {
  bool is_quoted = false;
  for (size_t i = 1; i < rest.size(); ++i) {
    if (is_quoted && rest[i] == '\\') {
      ++i;
    } else if (rest[i] == '"') {
      is_quoted = !is_quoted;
    } else if (!is_quoted && rest[i] == '}') {
      rest.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

std::optional<Meaning> MeaningOf(std::string_view name) {
  const auto* const known = std::ranges::find(kKnownMetrics, name, &KnownMetric::name);
  if (known == std::end(kKnownMetrics)) return std::nullopt;
  return known->meaning;
}

int64_t Rounded(double count) {
  constexpr double kMost = 1e9;
  return std::llround(std::min(count, kMost));
}

}  // namespace

std::optional<MetricSample> ParseMetricLine(std::string_view line) {
  SkipBlanks(line);
  MetricSample sample{.name = TakeWord(line)};
  if (sample.name.empty() || sample.name.front() == '#') return std::nullopt;
  SkipBlanks(line);
  if (line.starts_with('{') && !SkipLabels(line)) return std::nullopt;
  SkipBlanks(line);
  const std::string_view value = TakeWord(line);
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), sample.value);
  if (error != std::errc() || end != value.data() + value.size()) return std::nullopt;
  return sample;
}

std::optional<routing::UpstreamReport> ReportFromMetrics(std::string_view text) {
  double num_running = 0;
  double num_waiting = 0;
  double sum_of_usages = 0;
  int64_t num_usages = 0;
  bool is_known = false;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::optional<MetricSample> sample = ParseMetricLine(line);
    if (!sample || !std::isfinite(sample->value) || sample->value < 0) continue;
    const std::optional<Meaning> meaning = MeaningOf(sample->name);
    if (!meaning) continue;
    is_known = true;
    switch (*meaning) {
      case Meaning::kRunning:
        num_running += sample->value;
        break;
      case Meaning::kWaiting:
        num_waiting += sample->value;
        break;
      case Meaning::kKvUsage:
        sum_of_usages += std::min(sample->value, 1.0);
        ++num_usages;
        break;
    }
  }
  if (!is_known) return std::nullopt;
  return routing::UpstreamReport{.num_running = Rounded(num_running),
                                 .num_waiting = Rounded(num_waiting),
                                 .kv_usage = num_usages == 0 ? 0 : sum_of_usages / static_cast<double>(num_usages)};
}

}  // namespace autoglm::discovery
