// gateway.yaml: whatever is in the file, it is refused with its name and a line, or it is a configuration that can be built.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "config/gateway_config.h"

namespace autoglm::gateway {
namespace {

template <typename T>
void CheckRefusal(const Result<T>& result) {
  AUTOGLM_CHECK(result.error().code == ErrorCode::kInvalidArgument);
  const std::string& message = result.error().message;
  AUTOGLM_CHECK(message.starts_with("f:") && message[2] >= '1' && message[2] <= '9');
}

void CheckUpstream(const UpstreamConfig& upstream) {
  AUTOGLM_CHECK(!upstream.spec.name.empty() && upstream.spec.weight > 0);
  AUTOGLM_CHECK(upstream.url.starts_with("http://") || upstream.url.starts_with("https://"));
  AUTOGLM_CHECK(upstream.spec.most_context_tokens == 0 ||
                upstream.spec.least_context_tokens <= upstream.spec.most_context_tokens);
}

void CheckRoute(const RouteConfig& route, const GatewayConfig& config) {
  AUTOGLM_CHECK(!route.upstreams.empty() || !route.discovery.empty());
  AUTOGLM_CHECK(BuildPolicy(route.policy).has_value());
  for (const UpstreamConfig& upstream : route.upstreams) CheckUpstream(upstream);
  for (const std::string& name : route.fallback) {
    AUTOGLM_CHECK(std::ranges::count(config.routes, name, &RouteConfig::name) == 1);
  }
}

}  // namespace
}  // namespace autoglm::gateway

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace autoglm::gateway;
  const std::string yaml(reinterpret_cast<const char*>(data), size);
  if (const auto config = ParseGatewayConfig(yaml, "f")) {
    for (const RouteConfig& route : config->routes) CheckRoute(route, *config);
  } else {
    CheckRefusal(config);
  }
  if (const auto upstreams = ParseUpstreamList(yaml, "f", {})) {
    for (const UpstreamConfig& upstream : *upstreams) CheckUpstream(upstream);
  } else {
    CheckRefusal(upstreams);
  }
  return 0;
}
