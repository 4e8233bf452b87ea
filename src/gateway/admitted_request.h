#pragma once

#include <memory>
#include <optional>
#include <string>

#include "auth/principal.h"
#include "base/clock.h"
#include "gateway/request_scan.h"
#include "guard/usage_limits.h"
#include "http/server.h"
#include "telemetry/active_request.h"

namespace autoglm::gateway {

// A request that may be passed on, and what is known of it.
struct AdmittedRequest {
  std::shared_ptr<const http::Request> request;
  std::shared_ptr<http::Exchange> exchange;
  ScannedRequest scan;  // of a JSON body
  std::shared_ptr<const Principal> principal;
  std::unique_ptr<guard::Usage> usage;  // nullptr: nothing is counted
  std::string request_id;
  std::string session;  // requests with the same one belong together; empty: none
  std::optional<Duration> timeout;
  TimePoint begun{};
  std::shared_ptr<ActiveRequest> active;  // its record
  bool tells_timing = false;              // the client has asked where the time went
};

}  // namespace autoglm::gateway
