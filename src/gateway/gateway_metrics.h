#pragma once

#include <memory>
#include <string>

#include "gateway/route_metrics.h"

namespace autoglm::gateway {

// Every metric of the gateway. docs/gateway.md lists names and meanings (a test compares).
class GatewayMetrics {
 public:
  GatewayMetrics();
  ~GatewayMetrics();

  // Prometheus text format 0.0.4, with the process's own numbers as of now.
  std::string RenderText() const;

  // Any thread. Stays for good: the configuration names few routes.
  RouteMetrics& ForRoute(const std::string& name);
  // Requests that the gateway itself refused; reasons are few words of ours.
  prometheus::Counter& Refused(const std::string& reason);
  prometheus::Counter& FaultsInjected(const std::string& fault);
  // kind: requests, tokens, concurrency, budget.
  prometheus::Counter& RateLimited(const std::string& kind);
  prometheus::Counter& Reloads(const std::string& outcome);

  prometheus::Gauge& open_requests;
  prometheus::Counter& audit_lines_dropped;

 private:
  explicit GatewayMetrics(std::unique_ptr<GatewayFamilies> families);
  std::unique_ptr<GatewayFamilies> families_;
};

}  // namespace autoglm::gateway
