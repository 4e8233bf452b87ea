#include "config/host_port.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "config/values.h"

namespace autoglm {
namespace {

constexpr std::string_view kHttps = "https://";

bool IsIpv6(std::string_view text) {
  std::array<unsigned char, sizeof(in6_addr)> address;
  return inet_pton(AF_INET6, std::string(text).c_str(), address.data()) == 1;
}

// Names as DNS has them, and underscores, which Kubernetes and SRV records have too; IPv4 addresses look so as well.
bool IsHostName(std::string_view text) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  };
  return !text.empty() && text.size() <= 253 && text.front() != '.' && text.front() != '-' &&
         std::ranges::all_of(text, is_allowed);
}

// nullopt: no host, or no port where there must be one.
std::optional<HostPort> SplitHostPort(std::string_view text, std::optional<uint16_t> default_port) {
  HostPort result;
  std::string_view rest;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos || !IsIpv6(text.substr(1, end - 1))) return std::nullopt;
    result.host = text.substr(1, end - 1);
    rest = text.substr(end + 1);
  } else {
    const size_t end = std::min(text.find(':'), text.size());
    result.host = text.substr(0, end);
    rest = text.substr(end);
    if (!IsHostName(result.host)) return std::nullopt;
  }
  if (rest.empty() && default_port) {
    result.port = *default_port;
    return result;
  }
  if (!rest.starts_with(':')) return std::nullopt;
  const Result<int64_t> port = ParseInteger(rest.substr(1), 0, 65'535);
  if (!port) return std::nullopt;
  result.port = static_cast<uint16_t>(*port);
  return result;
}

}  // namespace

Result<HostPort> ParseHostPort(std::string_view text, std::optional<uint16_t> default_port) {
  std::optional<HostPort> parts = SplitHostPort(text, default_port);
  if (parts) return *std::move(parts);
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("must be an address and a port, such as 127.0.0.1:8000 or [::1]:8000, not '{}'", text));
}

Result<std::string> ParseServerUrl(std::string_view text) {
  constexpr std::string_view kHttp = "http://";
  const std::string_view scheme = IsHttpsUrl(text) ? kHttps : kHttp;
  if (text.starts_with(scheme)) {
    while (text.size() > scheme.size() && text.ends_with('/')) text.remove_suffix(1);
    const std::optional<HostPort> parts = SplitHostPort(text.substr(scheme.size()), uint16_t{80});
    if (parts && parts->port != 0) return std::string(text);
  }
  return Fail(ErrorCode::kInvalidArgument,
              "must be a URL such as http://127.0.0.1:8081 or https://host, without user, path and query");
}

bool IsHttpsUrl(std::string_view url) { return url.starts_with(kHttps); }

bool IsLoopback(std::string_view host) {
  in_addr ipv4;
  if (inet_pton(AF_INET, std::string(host).c_str(), &ipv4) == 1) return ntohl(ipv4.s_addr) >> 24 == 127;
  return host == "localhost" || host == "::1";
}

}  // namespace autoglm
