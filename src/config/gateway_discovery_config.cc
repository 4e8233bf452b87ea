#include "config/gateway_discovery_config.h"

#include <fmt/format.h>

#include <string>

#include "config/gateway_upstream_config.h"
#include "config/host_port.h"
#include "config/yaml_setters.h"

namespace autoglm::gateway {
namespace {

constexpr int64_t kHour = 3'600'000;  // milliseconds
constexpr size_t kMaxSources = 64;    // of a route

using Kubernetes = DiscoveryConfig::Kubernetes;

// "name:port", or the name of an SRV record (RFC 2782): "_service._tcp.name".
Result<std::string> ParseDnsName(const std::string& text) {
  constexpr std::string_view kProtocol = "._tcp.";
  const size_t at = text.find(kProtocol);
  if (text.starts_with('_')) {
    if (at > 1 && at != std::string::npos && ParseHostPort(text.substr(at + kProtocol.size()) + ":0")) return text;
  } else if (const auto parts = ParseHostPort(text); parts && parts->port != 0) {
    return text;
  }
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("must be a name such as replicas.local:8080 or _http._tcp.local, not '{}'", text));
}

constexpr std::array kKubernetesFields = {
    YamlField<Kubernetes>{"service", SetText<&Kubernetes::service>},
    YamlField<Kubernetes>{"namespace", SetText<&Kubernetes::namespace_name>},
    YamlField<Kubernetes>{"port", SetText<&Kubernetes::port_name>},
    YamlField<Kubernetes>{"api_server", SetParsed<&Kubernetes::api_server, ParseServerUrl>},
    YamlField<Kubernetes>{"token_file", SetText<&Kubernetes::token_file>},
    YamlField<Kubernetes>{"ca_file", SetText<&Kubernetes::ca_file>},
};

Status SetKubernetes(DiscoveryConfig& discovery, const YamlValue& value) {
  Kubernetes kubernetes;
  AUTOGLM_TRY_VOID(ReadFields(value, kKubernetesFields, kubernetes));
  if (kubernetes.service.empty()) return value.Refuse("needs 'service'");
  discovery.kubernetes = std::move(kubernetes);
  return {};
}

constexpr std::array kDiscoveryFields = {
    YamlField<DiscoveryConfig>{"file", SetText<&DiscoveryConfig::file>},
    YamlField<DiscoveryConfig>{"dns", SetParsed<&DiscoveryConfig::dns, ParseDnsName>},
    YamlField<DiscoveryConfig>{"kubernetes", SetKubernetes},
    YamlField<DiscoveryConfig>{"interval", SetTime<&DiscoveryConfig::dns_interval, 100, kHour>},
    YamlField<DiscoveryConfig>{"like", SetIn<&DiscoveryConfig::like, ReadLike>},
};

Result<DiscoveryConfig> ReadDiscovery(const YamlValue& item) {
  DiscoveryConfig discovery;
  AUTOGLM_TRY_VOID(ReadFields(item, kDiscoveryFields, discovery));
  const int num_sources = int{!discovery.file.empty()} + int{!discovery.dns.empty()} + int{discovery.kubernetes.has_value()};
  if (num_sources != 1) return item.Refuse("needs one of 'file', 'dns' and 'kubernetes'");
  const auto interval = item.Find("interval");
  if (interval && discovery.dns.empty()) return interval->Refuse("is for 'dns': the others tell when they change");
  return discovery;
}

}  // namespace

Status SetDiscovery(RouteConfig& route, const YamlValue& value) {
  AUTOGLM_TRY(const std::vector<YamlValue> items, value.Items("places where upstreams are found"));
  if (items.size() > kMaxSources) return value.Refuse(fmt::format("must be at most {}", kMaxSources));
  for (const YamlValue& item : items) {
    AUTOGLM_TRY(DiscoveryConfig discovery, ReadDiscovery(item));
    route.discovery.push_back(std::move(discovery));
  }
  return {};
}

}  // namespace autoglm::gateway
