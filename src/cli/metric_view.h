#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "slo/exposition.h"

namespace autoglm {

// What /metrics says at two moments: rates and quantiles of the time between them.
class MetricView {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Labels = std::map<std::string, std::string>;

  // The newer moment becomes the older one.
  void Take(std::string_view exposition, Time now);
  bool has_interval() const { return before_.at != Time{}; }

  // Of the newest; all series of the name together, or those with these labels.
  double Value(const std::string& name, const Labels& labels = {}) const;
  // A second, since the moment before. A counter that went back began anew.
  double Rate(const std::string& name, const Labels& labels = {}) const;
  // Of what a histogram has observed since; nullopt where that was nothing.
  std::optional<double> Quantile(double quantile, const std::string& name, const Labels& labels = {}) const;
  // Sum over observations since, in total.
  double Increase(const std::string& name, const Labels& labels = {}) const;
  // What stands behind a label, in all series of the name.
  std::vector<std::string> LabelValues(const std::string& name, const std::string& label) const;

 private:
  struct Moment {
    Time at{};
    std::map<std::string, std::vector<slo::Sample>> samples;  // by name
  };
  static double Sum(const Moment& moment, const std::string& name, const Labels& labels);

  Moment before_;
  Moment now_;
};

}  // namespace autoglm
