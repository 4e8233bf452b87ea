#pragma once

#include <memory>

#include "base/clock.h"
#include "config/gateway_config.h"
#include "gateway/gateway_metrics.h"
#include "gateway/prompt_tokenizer.h"
#include "gateway/route_table.h"
#include "gateway/token_keys.h"
#include "guard/audit_log.h"
#include "guard/usage_limits.h"
#include "telemetry/request_log.h"

namespace autoglm::gateway {

// What requests go by: one configuration at work. Immutable; a reload makes another, and requests keep the one they began with.
struct GatewayState {
  GatewayConfig config;
  bool allows_faults = false;
  std::shared_ptr<const TokenKeys> keys;
  std::shared_ptr<guard::UsageLimits> limits;
  std::shared_ptr<guard::AuditLog> audit;  // nullptr: none
  std::shared_ptr<const RouteTable> routes;
  PromptTokenizer& tokenizer;
  GatewayMetrics& metrics;
  RequestLog& requests;
  const Clock& clock;
};

}  // namespace autoglm::gateway
