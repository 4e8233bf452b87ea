#include "cli/progress_bar.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ostream>
#include <utility>

#include "cli/text_format.h"

namespace autoglm {
namespace {

constexpr std::chrono::milliseconds kRedrawInterval(100);
constexpr std::string_view kClearLine = "\r\x1b[K";

std::string Repeat(std::string_view text, int64_t times) {
  std::string repeated;
  for (int64_t i = 0; i < times; ++i) repeated += text;
  return repeated;
}

}  // namespace

ProgressBar::ProgressBar(Console& console, const Clock& clock, Options options)
    : console_(console), clock_(clock), options_(std::move(options)), started_(clock.Now()) {}

ProgressBar::~ProgressBar() {
  if (last_drawn_) console_.err << kClearLine << std::flush;
}

void ProgressBar::Update(int64_t done) {
  if (!console_.err_is_terminal) return;
  const TimePoint now = clock_.Now();
  if (last_drawn_ && now - *last_drawn_ < kRedrawInterval) return;
  last_drawn_ = now;
  console_.err << kClearLine << Line(done, Seconds(now - started_)) << std::flush;
}

std::string ProgressBar::Line(int64_t done, double elapsed_s) const {
  const double share = std::clamp(static_cast<double>(done) / static_cast<double>(options_.total), 0.0, 1.0);
  std::string right = fmt::format(" {:3.0f}%  {}/{} {}", share * 100, done, options_.total, options_.unit);
  // A rate from the first few milliseconds would only jump about.
  if (done > 0 && elapsed_s > 0.5) {
    const double rate = static_cast<double>(done) / elapsed_s;
    right += fmt::format("  {:.0f}/s  {} left", rate, FormatSeconds(static_cast<double>(options_.total - done) / rate));
  }
  const int64_t room = options_.columns - 2 - static_cast<int64_t>(options_.title.size() + right.size());
  const int64_t width = std::min<int64_t>(room, 40);
  if (width < 5) return fmt::format("{} {:.0f}%", options_.title, share * 100);
  const auto filled = static_cast<int64_t>(share * static_cast<double>(width));
  return options_.title + " " + Repeat("█", filled) + Repeat("░", width - filled) + right;
}

}  // namespace autoglm
