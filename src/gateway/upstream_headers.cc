#include "gateway/upstream_headers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "auth/principal.h"
#include "http/header_names.h"

namespace autoglm::gateway {
namespace {

// Names of headers that the client's "Connection" says are of this connection only.
bool IsNamedByConnection(std::string_view connection, std::string_view name) {
  while (!connection.empty()) {
    const size_t comma = std::min(connection.find(','), connection.size());
    std::string_view one = connection.substr(0, comma);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (http::LowerCase(one) == name) return true;
    connection.remove_prefix(std::min(comma + 1, connection.size()));
  }
  return false;
}

bool IsCredential(std::string_view name) { return name == "authorization" || name == "x-api-key" || name == "api-key"; }

bool IsForwarded(std::string_view name) { return name == "forwarded" || name.starts_with("x-forwarded-") || name == "x-real-ip"; }

// Replaced below, or meant for the gateway alone. Without accept-encoding answers come as they can be read.
bool IsReplaced(std::string_view name) {
  constexpr std::array<std::string_view, 8> kNames = {"host",         "expect",           "accept-encoding", "content-encoding",
                                                      "x-request-id", "x-autoglm-resume", "x-gateway-fault", kTenantHeader};
  return std::ranges::find(kNames, name) != kNames.end();
}

std::string_view AddressOf(std::string_view peer) { return peer.substr(0, peer.rfind(':')); }

void AddForwarded(const http::Request& request, const ForwardedFacts& facts, http::HeaderLines& lines) {
  const std::string_view before = facts.trusts_forwarded ? request.Header("x-forwarded-for") : std::string_view();
  std::string clients(before);
  if (!clients.empty()) clients.append(", ");
  clients.append(AddressOf(request.peer));
  lines.Add("x-forwarded-for", clients);
  const bool keeps_rest = facts.trusts_forwarded && !request.Header("x-forwarded-proto").empty();
  lines.Add("x-forwarded-proto", keeps_rest ? request.Header("x-forwarded-proto") : facts.client_scheme);
  const std::string_view host = facts.trusts_forwarded ? request.Header("x-forwarded-host") : std::string_view();
  lines.Add("x-forwarded-host", host.empty() ? request.Header("host") : host);
}

}  // namespace

http::HeaderLines UpstreamHeaders(const http::Request& request, const UpstreamConfig& upstream, const ForwardedFacts& facts) {
  http::HeaderLines lines;
  const std::string_view connection = request.Header("connection");
  const bool passes_credentials = upstream.passes_authorization && upstream.api_key.empty();
  for (const auto& [name, value] : request.headers) {
    if (http::IsHopByHop(name) || IsReplaced(name) || IsForwarded(name)) continue;
    if (IsCredential(name) && !passes_credentials) continue;
    if (!connection.empty() && IsNamedByConnection(connection, name)) continue;
    lines.Add(name, value);
  }
  if (!upstream.api_key.empty()) lines.Add("authorization", "Bearer " + upstream.api_key);
  // Its tenants are the gateway's: without this they would all be one for the upstream. A client that is known there is kept
  // apart by its own key.
  if (upstream.engine == EngineKind::kAutoglm && facts.cache_salt != 0 && !passes_credentials) {
    lines.Add(kTenantHeader, fmt::format("{:016x}", facts.cache_salt));
  }
  lines.Add("x-request-id", facts.request_id);
  AddForwarded(request, facts, lines);
  return lines;
}

std::vector<std::pair<std::string, std::string>> ClientHeaders(std::vector<std::pair<std::string, std::string>> headers) {
  std::erase_if(headers, [](const auto& header) {
    const std::string& name = header.first;
    return name == "x-request-id" || name == "server" || name == "date" || name.starts_with("x-gateway-");
  });
  return headers;
}

}  // namespace autoglm::gateway
