// Answers of name servers: whatever comes is refused, or gives endpoints with a port and a weight.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "discovery/dns_lookup.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t num_bytes) {
  using namespace autoglm;
  const auto records = discovery::ParseSrvAnswer(std::span(data, num_bytes));
  if (!records) return 0;
  for (const discovery::FoundEndpoint& endpoint : discovery::EndpointsOf(*records)) {
    AUTOGLM_CHECK(endpoint.port > 0 && endpoint.weight > 0 && !endpoint.host.empty());
  }
  return 0;
}
