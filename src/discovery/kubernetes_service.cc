#include "discovery/kubernetes_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "base/text_file.h"

namespace autoglm::discovery {
namespace {

constexpr int64_t kNamespaceBytesMax = 1024;

std::string FromEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// Names of services and namespaces, and versions, need no escapes in a path or query.
bool IsPlainName(std::string_view text) {
  return !text.empty() && text.size() < 254 &&
         std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '.'; });
}

Result<std::string> NamespaceOf(const gateway::DiscoveryConfig::Kubernetes& config) {
  if (!config.namespace_name.empty()) return config.namespace_name;
  const std::filesystem::path file = config.token_file.parent_path() / "namespace";
  const Result<std::string> text = ReadTextFile(file, kNamespaceBytesMax);
  if (!text) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("kubernetes: namespace is not given, and not told by the cluster: {}", text.error().message));
  }
  return text->substr(0, text->find_last_not_of(" \r\n") + 1);
}

}  // namespace

KubernetesEnvironment KubernetesEnvironment::OfProcess() {
  return {.service_host = FromEnvironment("KUBERNETES_SERVICE_HOST"), .service_port = FromEnvironment("KUBERNETES_SERVICE_PORT")};
}

Result<KubernetesService> KubernetesService::Of(const gateway::DiscoveryConfig::Kubernetes& config,
                                                const KubernetesEnvironment& environment) {
  std::string url = config.api_server;
  if (url.empty()) {
    if (environment.service_host.empty()) {
      return Fail(ErrorCode::kInvalidArgument,
                  "kubernetes: api_server is not given, and this is no pod (KUBERNETES_SERVICE_HOST is not set)");
    }
    const bool is_ipv6 = environment.service_host.find(':') != std::string::npos;
    url = fmt::format("https://{}{}{}:{}", is_ipv6 ? "[" : "", environment.service_host, is_ipv6 ? "]" : "",
                      environment.service_port.empty() ? "443" : environment.service_port);
  }
  KubernetesService service{.is_https = http::Origin::IsHttps(url),
                            .service = config.service,
                            .port_name = config.port_name,
                            .token_file = config.token_file,
                            .ca_file = config.ca_file};
  AUTOGLM_TRY(service.api_server, http::Origin::Parse(url));
  AUTOGLM_TRY(service.namespace_name, NamespaceOf(config));
  for (const std::string& name : {service.service, service.namespace_name}) {
    if (!IsPlainName(name)) {
      return Fail(ErrorCode::kInvalidArgument, fmt::format("kubernetes: '{}' is no name of a service or namespace", name));
    }
  }
  return service;
}

std::string KubernetesService::ListTarget() const {
  return fmt::format("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D{}",
                     namespace_name, service);
}

std::string KubernetesService::WatchTarget(const std::string& resource_version, int64_t seconds) const {
  // Versions are opaque; all there ever were are numbers.
  return fmt::format("{}&watch=1&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={}", ListTarget(), seconds,
                     IsPlainName(resource_version) ? resource_version : "");
}

}  // namespace autoglm::discovery
