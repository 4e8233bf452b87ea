#include "auth/rate_limits.h"

#include <fmt/format.h>

#include <chrono>
#include <string_view>

namespace autoglm {
namespace {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

void AddHeaders(std::string_view what, const RateLimits::PerMinute& state, HeaderList& headers) {
  if (state.limit == 0) return;
  headers.emplace_back(fmt::format("x-ratelimit-limit-{}", what), fmt::format("{}", state.limit));
  headers.emplace_back(fmt::format("x-ratelimit-remaining-{}", what), fmt::format("{}", state.remaining));
  headers.emplace_back(fmt::format("x-ratelimit-reset-{}", what), FormatReset(state.reset));
}

}  // namespace

HeaderList RateLimits::Headers() const {
  HeaderList headers;
  AddHeaders("requests", requests, headers);
  AddHeaders("tokens", tokens, headers);
  return headers;
}

std::string FormatReset(Duration duration) {
  const int64_t milliseconds = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  if (milliseconds > 0 && milliseconds < 1000) return fmt::format("{}ms", milliseconds);
  const int64_t hours = milliseconds / 3'600'000;
  const int64_t minutes = milliseconds / 60'000;
  const double seconds = static_cast<double>(milliseconds % 60'000) / 1000;
  if (hours > 0) return fmt::format("{}h{}m{}s", hours, minutes % 60, seconds);
  if (minutes > 0) return fmt::format("{}m{}s", minutes, seconds);
  return fmt::format("{}s", seconds);
}

}  // namespace autoglm
