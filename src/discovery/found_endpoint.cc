#include "discovery/found_endpoint.h"

#include <fmt/format.h>

#include <algorithm>

namespace autoglm::discovery {
namespace {

bool IsSamePlace(const FoundEndpoint& a, const FoundEndpoint& b) { return a.host == b.host && a.port == b.port; }

gateway::UpstreamConfig UpstreamAt(const FoundEndpoint& endpoint, const gateway::UpstreamConfig& like) {
  gateway::UpstreamConfig upstream = like;
  const std::string host = endpoint.host.find(':') == std::string::npos ? endpoint.host : "[" + endpoint.host + "]";
  upstream.url = fmt::format("{}://{}:{}", like.tls ? "https" : "http", host, endpoint.port);
  upstream.spec.name = upstream.url;
  upstream.spec.weight *= endpoint.weight;
  if (upstream.spec.region.empty()) upstream.spec.region = endpoint.region;
  gateway::FillHost(upstream);
  return upstream;
}

}  // namespace

std::vector<gateway::UpstreamConfig> UpstreamsAt(std::vector<FoundEndpoint> found, const gateway::UpstreamConfig& like) {
  std::ranges::sort(found);
  const auto repeated = std::ranges::unique(found, IsSamePlace);
  found.erase(repeated.begin(), repeated.end());
  if (found.size() > kMaxFound) found.resize(kMaxFound);
  std::vector<gateway::UpstreamConfig> upstreams;
  upstreams.reserve(found.size());
  for (const FoundEndpoint& endpoint : found) upstreams.push_back(UpstreamAt(endpoint, like));
  return upstreams;
}

}  // namespace autoglm::discovery
