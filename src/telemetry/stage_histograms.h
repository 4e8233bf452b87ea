#pragma once

#include <prometheus/family.h>
#include <prometheus/histogram.h>

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "telemetry/stage.h"

namespace autoglm {

// How long requests were in each stage, in seconds: a histogram for each stage and each value of a label, such as a route. What
// is observed is counted up here and stands in the histograms after Flush: under load, thousands of requests take the histograms'
// locks once. Any thread.
class StageHistograms {
 public:
  StageHistograms(prometheus::Family<prometheus::Histogram>& family, std::string label);

  // `value` is the label's, and `number` always the same for it: a small one. Stages that took no time are left out.
  void Observe(uint16_t number, std::string_view value, const StageTimes& stages);
  void Flush();

 private:
  struct Series {
    prometheus::Histogram* histogram = nullptr;
    std::vector<double> counts;  // by bucket
    double sum = 0;
    bool is_changed = false;
  };
  using SeriesOfValue = std::array<Series, kNumStages>;

  prometheus::Family<prometheus::Histogram>& family_;
  const std::string label_;
  std::mutex mutex_;  // of the next
  std::vector<SeriesOfValue> by_number_;
};

}  // namespace autoglm
