#pragma once

#include <string>
#include <string_view>

#include "discovery/registration.h"
#include "gateway/gateway_state.h"
#include "json/json.h"

namespace autoglm::gateway {

// What /gateway/status answers: routes, what is known of their upstreams, and where a request without anything special would go,
// and why.
Json StatusJson(const GatewayState& state, std::string_view version, bool is_draining);

// What /gateway/explain answers: where a request of this route would go now, with each scorer's word. `query` may name model,
// session, region, context_tokens, prompt.
Json ExplanationJson(Route& route, std::string_view query);

discovery::WorkerState WorkerStateOf(const GatewayState& state, std::string_view route, std::string_view url);

}  // namespace autoglm::gateway
