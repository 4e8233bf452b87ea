#include "gateway/upstream_headers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ranges>
#include <string>
#include <vector>

#include "auth/principal.h"
#include "http/header_names.h"

namespace autoglm::gateway {
namespace {

// What the client's "Connection" headers say is of this connection only; sorted. A head may have thousands of such words and of
// headers, so each is looked at once.
std::vector<std::string> NamesOfConnection(const http::Request& request) {
  std::vector<std::string> names;
  for (const auto& [name, value] : request.headers) {
    if (name != "connection") continue;
    for (const auto word : std::views::split(std::string_view(value), ',')) {
      std::string_view one(word.begin(), word.end());
      while (one.starts_with(' ') || one.starts_with('\t')) one.remove_prefix(1);
      while (one.ends_with(' ') || one.ends_with('\t')) one.remove_suffix(1);
      if (!one.empty()) names.push_back(http::LowerCase(one));
    }
  }
  std::ranges::sort(names);
  return names;
}

// As servers see it that make variables of headers: to them "_" is "-".
std::string WithDashes(std::string_view name) {
  std::string dashed(name);
  std::ranges::replace(dashed, '_', '-');
  return dashed;
}

bool IsCredential(std::string_view name) { return name == "authorization" || name == "x-api-key" || name == "api-key"; }

bool IsForwarded(std::string_view name) { return name == "forwarded" || name.starts_with("x-forwarded-") || name == "x-real-ip"; }

// The trace goes on, but from a span of the gateway's.
bool IsTraceHeader(std::string_view name) {
  return name == "traceparent" || name == "tracestate" || name == "b3" || name.starts_with("x-b3-") || name == "x-trace-id" ||
         name == "x-span-id";
}

// Replaced below, or meant for the gateway alone. Without accept-encoding answers come as they can be read.
bool IsReplaced(std::string_view name) {
  constexpr std::array<std::string_view, 8> kNames = {"host",         "expect",           "accept-encoding", "content-encoding",
                                                      "x-request-id", "x-autoglm-resume", "x-gateway-fault", kTenantHeader};
  return std::ranges::find(kNames, name) != kNames.end() || IsTraceHeader(name);
}

void AddTrace(const ForwardedFacts& facts, http::HeaderLines& lines) {
  if (!facts.trace.is_set()) return;
  lines.Add("traceparent", Traceparent(facts.trace, facts.span, facts.is_sampled));
  if (!facts.tracestate.empty()) lines.Add("tracestate", facts.tracestate);
  lines.Add("x-trace-id", facts.trace.Hex());
  lines.Add("x-span-id", facts.span.Hex());
  if (facts.speaks_b3) lines.Add("b3", SingleB3(facts.trace, facts.span, facts.is_sampled));
}

// Said by whoever is in front, each behind the one before; a later line goes on an earlier one.
std::string ClientsBefore(const http::Request& request) {
  std::string clients;
  for (const auto& [name, value] : request.headers) {
    if (name != "x-forwarded-for" || value.empty()) continue;
    if (!clients.empty()) clients.append(", ");
    clients.append(value);
  }
  return clients;
}

std::string_view AddressOf(std::string_view peer) { return peer.substr(0, peer.rfind(':')); }

void AddForwarded(const http::Request& request, const ForwardedFacts& facts, http::HeaderLines& lines) {
  std::string clients = facts.trusts_forwarded ? ClientsBefore(request) : std::string();
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
  const std::vector<std::string> of_connection = NamesOfConnection(request);
  const bool passes_credentials = upstream.passes_authorization && upstream.api_key.empty();
  for (const auto& [name, value] : request.headers) {
    const std::string dashed = name.find('_') == std::string::npos ? std::string() : WithDashes(name);
    const std::string_view seen = dashed.empty() ? std::string_view(name) : dashed;
    if (http::IsHopByHop(seen) || IsReplaced(seen) || IsForwarded(seen)) continue;
    // What is spelled otherwise is no credential that was looked at here.
    if (IsCredential(seen) && (!passes_credentials || seen != name)) continue;
    if (std::ranges::binary_search(of_connection, name)) continue;
    lines.Add(name, value);
  }
  if (!upstream.api_key.empty()) lines.Add("authorization", "Bearer " + upstream.api_key);
  // Its tenants are the gateway's: without this they would all be one for the upstream. A client that is known there is kept
  // apart by its own key.
  if (upstream.engine == EngineKind::kAutoglm && facts.cache_salt != 0 && !passes_credentials) {
    lines.Add(kTenantHeader, fmt::format("{:016x}", facts.cache_salt));
  }
  lines.Add("x-request-id", facts.request_id);
  AddTrace(facts, lines);
  AddForwarded(request, facts, lines);
  return lines;
}

std::vector<std::pair<std::string, std::string>> ClientHeaders(std::vector<std::pair<std::string, std::string>> headers) {
  std::erase_if(headers, [](const auto& header) {
    const std::string& name = header.first;
    return name == "x-request-id" || name == "x-trace-id" || name == "x-span-id" || name == "server" || name == "date" ||
           name.starts_with("x-gateway-");
  });
  return headers;
}

}  // namespace autoglm::gateway
