#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "discovery/found_endpoint.h"

namespace autoglm::discovery {

// "name:port" or "_service._tcp.name", as the configuration has it.
struct DnsQuery {
  std::string name;
  std::optional<uint16_t> port;  // nullopt: SRV records say it

  // Errors: kInvalidArgument.
  static Result<DnsQuery> Parse(std::string_view text);
};

// Asks, and blocks until there is an answer; this may take half a minute. `name_server` in place of the system's, for SRV
// records. Errors: kNotFound for a name that is not there, or has nothing of what is asked for, kUnavailable.
Result<std::vector<FoundEndpoint>> LookUp(const DnsQuery& query, const sockaddr_in* name_server = nullptr);

struct SrvRecord {
  uint16_t priority = 0;
  uint16_t weight = 0;
  uint16_t port = 0;
  std::string target;
};

// Of a whole DNS message. Records of other types are passed over. Errors: kInvalidArgument for what is no message.
Result<std::vector<SrvRecord>> ParseSrvAnswer(std::span<const uint8_t> message);

// Of the lowest priority number alone, since the others stand in only while those are down. Weights are beside their mean; the
// root as target means that there is no such service (RFC 2782).
std::vector<FoundEndpoint> EndpointsOf(std::span<const SrvRecord> records);

}  // namespace autoglm::discovery
