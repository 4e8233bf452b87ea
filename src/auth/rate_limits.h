#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace autoglm {

// How much of its limits a key has left.
struct RateLimits {
  struct PerMinute {
    int64_t limit = 0;  // 0: none
    int64_t remaining = 0;
    Duration reset{};  // until all of it is there again
  };
  PerMinute requests;
  PerMinute tokens;

  // x-ratelimit-limit-requests, -remaining-requests, -reset-requests and the same for tokens, as OpenAI's clients know them;
  // those of a limit that is not set are left out.
  std::vector<std::pair<std::string, std::string>> Headers() const;
};

// "0s", "20ms", "1.5s", "6m0s", "1h0m2s"; rounded up to milliseconds.
std::string FormatReset(Duration duration);

}  // namespace autoglm
