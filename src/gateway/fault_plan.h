#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/random.h"
#include "config/gateway_config.h"
#include "http/server.h"

namespace autoglm::gateway {

// The faults put into one request on purpose. Of several that fit, the delays add up, and the first status or cut counts.
struct FaultPlan {
  std::string names;  // "a, b"; empty: none
  std::chrono::nanoseconds delay{0};
  std::chrono::nanoseconds first_token_delay{0};
  std::chrono::nanoseconds token_delay{0};
  double jitter = 0;  // of token_delay
  int abort_status = 0;
  int64_t cut_after_events = -1;

  bool empty() const { return names.empty(); }
  // Pieces of the answer are held back.
  bool delays_answer() const { return first_token_delay.count() > 0 || token_delay.count() > 0; }
};

FaultPlan PlanFaults(std::span<const FaultConfig> faults, std::string_view route, std::string_view tenant,
                     const http::Request& request, Random& random);

// `duration` scaled by 1 +- jitter.
std::chrono::nanoseconds Jittered(std::chrono::nanoseconds duration, double jitter, Random& random);

}  // namespace autoglm::gateway
