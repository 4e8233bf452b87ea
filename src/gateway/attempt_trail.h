#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "gateway/upstream_attempt.h"
#include "telemetry/active_request.h"

namespace autoglm::gateway {

// What a request's record says of its attempts at upstreams. On the request's loop.

enum class AttemptKind { kFirst, kRetry, kHedge, kContinuation };

// Chosen, and about to be sent.
void RecordAttemptBegin(ActiveRequest& active, const UpstreamAttempt& attempt, AttemptKind kind);
void RecordFirstByte(ActiveRequest& active, const UpstreamAttempt& attempt, TimePoint now);
// `reason`: why it failed, or was given up; empty where its answer is the client's. `status` 0: there was no answer.
void RecordAttemptEnd(ActiveRequest& active, const UpstreamAttempt& attempt, int status, std::string_view reason);

}  // namespace autoglm::gateway
