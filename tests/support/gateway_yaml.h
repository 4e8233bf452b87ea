#pragma once

#include <gtest/gtest.h>

#include <string>

#include "config/gateway_config.h"

namespace autoglm::gateway {

inline constexpr const char* kRoutes = "routes:\n  - upstreams: [http://127.0.0.1:8081]\n";

// What is read of a file that must be right.
inline GatewayConfig Read(const std::string& yaml) {
  Result<GatewayConfig> config = ParseGatewayConfig(yaml, "gateway.yaml");
  EXPECT_TRUE(config) << config.error().message;
  return config ? *std::move(config) : GatewayConfig();
}

// The same with a route behind it.
inline GatewayConfig ReadBeforeRoutes(const std::string& yaml) { return Read(yaml + kRoutes); }

// A file of one route, whose keys are lines indented by four.
inline RouteConfig ReadRoute(const std::string& lines) {
  const GatewayConfig config = Read("routes:\n  - upstreams: [http://127.0.0.1:8081]\n" + lines);
  return config.routes.empty() ? RouteConfig() : config.routes[0];
}

// Why a file is refused.
inline std::string Refusal(const std::string& yaml) {
  const Result<GatewayConfig> config = ParseGatewayConfig(yaml, "gateway.yaml");
  EXPECT_FALSE(config) << yaml;
  if (config) return "";
  EXPECT_EQ(config.error().code, ErrorCode::kInvalidArgument);
  return config.error().message;
}

inline std::string RouteRefusal(const std::string& lines) {
  return Refusal("routes:\n  - upstreams: [http://127.0.0.1:8081]\n" + lines);
}

}  // namespace autoglm::gateway
