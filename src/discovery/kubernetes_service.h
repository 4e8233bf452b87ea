#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "config/gateway_config.h"
#include "http/client.h"

namespace autoglm::discovery {

// What a pod is told of its cluster.
struct KubernetesEnvironment {
  std::string service_host;
  std::string service_port;

  // From KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT.
  static KubernetesEnvironment OfProcess();
};

// A service, and the API server that knows it.
struct KubernetesService {
  http::Origin api_server;  // its TLS context is not set
  bool is_https = false;
  std::string namespace_name;
  std::string service;
  std::string port_name;             // empty: the first
  std::filesystem::path token_file;  // empty: none is sent
  std::filesystem::path ca_file;     // empty: the system's

  // What is not configured comes from the environment, and the namespace from the file beside the token.
  // Errors: kInvalidArgument, also outside of a cluster where something is missing.
  static Result<KubernetesService> Of(const gateway::DiscoveryConfig::Kubernetes& config,
                                      const KubernetesEnvironment& environment);

  // Path and query of LIST, and of WATCH from a version on. The server ends a watch after `seconds`.
  std::string ListTarget() const;
  std::string WatchTarget(const std::string& resource_version, int64_t seconds) const;
};

}  // namespace autoglm::discovery
