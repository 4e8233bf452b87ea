#include "auth/rate_limits.h"

#include <fmt/format.h>

#include <chrono>
#include <string>

namespace autoglm {
namespace {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

struct Names {
  const char* limit;
  const char* remaining;
  const char* reset;
};
constexpr Names kOfRequests = {"x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"};
constexpr Names kOfTokens = {"x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"};

void AddHeaders(const Names& names, const RateLimits::PerMinute& state, HeaderList& headers) {
  if (state.limit == 0) return;
  headers.emplace_back(names.limit, std::to_string(state.limit));
  headers.emplace_back(names.remaining, std::to_string(state.remaining));
  headers.emplace_back(names.reset, FormatReset(state.reset));
}

}  // namespace

HeaderList RateLimits::Headers() const {
  HeaderList headers;
  headers.reserve(6);
  AddHeaders(kOfRequests, requests, headers);
  AddHeaders(kOfTokens, tokens, headers);
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
