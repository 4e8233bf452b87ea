#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "config/gateway_config.h"

namespace autoglm::discovery {

// Where a source has found a server.
struct FoundEndpoint {
  std::string host;  // a name, or an address without brackets
  uint16_t port = 0;
  double weight = 1;   // beside the others that were found
  std::string region;  // empty: the source does not say

  auto operator<=>(const FoundEndpoint&) const = default;
};

// Of one source: what is found beyond is left out.
inline constexpr size_t kMaxFound = 4096;

// Upstreams at these places, sorted, each once. Everything else is as in `like`: https where it has TLS options.
std::vector<gateway::UpstreamConfig> UpstreamsAt(std::vector<FoundEndpoint> found, const gateway::UpstreamConfig& like);

}  // namespace autoglm::discovery
