#include "telemetry/stage_histograms.h"

#include <algorithm>
#include <utility>

namespace autoglm {
namespace {

const prometheus::Histogram::BucketBoundaries kStageSeconds = {.000001, .00001, .0001, .001, .0025, .005, .01, .025, .05, .1,
                                                               .25,     .5,     1,     2.5,  5,     10,   30,  60,   300};

size_t BucketOf(double seconds) {
  return static_cast<size_t>(std::ranges::lower_bound(kStageSeconds, seconds) - kStageSeconds.begin());
}

}  // namespace

StageHistograms::StageHistograms(prometheus::Family<prometheus::Histogram>& family, std::string label)
    : family_(family), label_(std::move(label)) {}

void StageHistograms::Observe(uint16_t number, std::string_view value, const StageTimes& stages) {
  const std::lock_guard lock(mutex_);
  if (by_number_.size() <= number) by_number_.resize(number + size_t{1});
  for (size_t i = 0; i < kNumStages; ++i) {
    if (stages[i] == 0) continue;
    Series& series = by_number_[number][i];
    if (series.histogram == nullptr) {
      const std::string stage(StageName(static_cast<Stage>(i)));
      series.histogram = &family_.Add({{label_, std::string(value)}, {"stage", stage}}, kStageSeconds);
      series.counts.resize(kStageSeconds.size() + 1);
    }
    const double seconds = static_cast<double>(stages[i]) / 1e9;
    series.counts[BucketOf(seconds)] += 1;
    series.sum += seconds;
    series.is_changed = true;
  }
}

void StageHistograms::Flush() {
  const std::lock_guard lock(mutex_);
  for (SeriesOfValue& of_value : by_number_) {
    for (Series& series : of_value) {
      if (!std::exchange(series.is_changed, false)) continue;
      series.histogram->ObserveMultiple(series.counts, std::exchange(series.sum, 0));
      std::ranges::fill(series.counts, 0);
    }
  }
}

}  // namespace autoglm
