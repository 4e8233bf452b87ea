#pragma once

#include <memory>
#include <string>

#include "gateway/route_metrics.h"
#include "telemetry/interned_names.h"
#include "telemetry/metric_set.h"
#include "telemetry/request_record.h"

namespace autoglm::gateway {

// Every metric of the gateway. docs/gateway.md lists names and meanings (a test compares).
class GatewayMetrics {
 public:
  explicit GatewayMetrics(MetricOptions options = {});
  ~GatewayMetrics();

  // With the process's own numbers as of now.
  std::string Render(MetricFormat format) const;
  std::string RenderText() const { return Render(MetricFormat::kPrometheusText); }
  MetricSet& set();

  // Of a request that went by a route. Shows after the next FlushStages.
  void ObserveStages(const RequestRecord& record, const InternedNames& names);
  void FlushStages();

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
  prometheus::Counter& log_lines_dropped;
  prometheus::Counter& records_missed;

 private:
  explicit GatewayMetrics(std::unique_ptr<GatewayFamilies> families);
  std::unique_ptr<GatewayFamilies> families_;
};

}  // namespace autoglm::gateway
