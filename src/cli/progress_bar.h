#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "cli/console.h"

namespace autoglm {

// One line on standard error that shows how far long work has come. Silent unless standard error is a terminal; redrawn at
// most ten times a second; wiped when the object ends, so that nothing of it stays above the result.
class ProgressBar {
 public:
  // `columns`: of the terminal. `unit`: what is counted, "tokens".
  struct Options {
    std::string title;
    std::string unit;
    int64_t total = 0;  // > 0
    int columns = 80;
  };
  ProgressBar(Console& console, const Clock& clock, Options options);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void Update(int64_t done);

 private:
  std::string Line(int64_t done, double elapsed_s) const;

  Console& console_;
  const Clock& clock_;
  const Options options_;
  const TimePoint started_;
  std::optional<TimePoint> last_drawn_;
};

}  // namespace autoglm
