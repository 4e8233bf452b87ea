#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/gateway_config.h"
#include "http/client.h"
#include "http/server.h"
#include "telemetry/trace_context.h"

namespace autoglm::gateway {

// What the gateway says of a request to whom it passes it on.
struct ForwardedFacts {
  std::string_view request_id;
  uint64_t cache_salt = 0;         // of the client's tenant; 0: there are none
  std::string_view client_scheme;  // http, https
  TraceId trace = {};
  SpanId span = {};         // of the attempt, on which the upstream's spans hang
  bool is_sampled = false;  // whoever began the trace keeps it
  std::string_view tracestate = {};
  bool speaks_b3 = false;         // the client does, so the upstream may
  bool trusts_forwarded = false;  // the client is a proxy of ours: what it says of its own client is kept
};

// A client's headers as an upstream gets them: without those of the connection, without credentials that are not meant for it,
// and without what only a gateway may say.
http::HeaderLines UpstreamHeaders(const http::Request& request, const UpstreamConfig& upstream, const ForwardedFacts& facts);

// An upstream's headers as the client gets them.
std::vector<std::pair<std::string, std::string>> ClientHeaders(std::vector<std::pair<std::string, std::string>> headers);

}  // namespace autoglm::gateway
