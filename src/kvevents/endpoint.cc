#include "kvevents/endpoint.h"

#include <arpa/inet.h>

#include <charconv>

namespace autoglm {
namespace {

constexpr std::string_view kTcp = "tcp://";

}  // namespace

bool IsConnectedTo(std::string_view endpoint) {
  if (!endpoint.starts_with(kTcp)) return false;
  const std::string host(endpoint.substr(kTcp.size(), endpoint.rfind(':') - kTcp.size()));
  in_addr address{};
  return host != "*" && !host.starts_with('[') && inet_pton(AF_INET, host.c_str(), &address) != 1;
}

std::string EndpointOfModel(std::string_view endpoint, int64_t index) {
  if (index == 0) return std::string(endpoint);
  const size_t colon = endpoint.rfind(':');
  if (!endpoint.starts_with(kTcp) || colon < kTcp.size()) return std::string(endpoint) + "_" + std::to_string(index);
  int64_t port = 0;
  (void)std::from_chars(endpoint.data() + colon + 1, endpoint.data() + endpoint.size(), port);
  return std::string(endpoint.substr(0, colon + 1)) + std::to_string(port + index);
}

}  // namespace autoglm
