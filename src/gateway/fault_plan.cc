#include "gateway/fault_plan.h"

#include <algorithm>

#include "gateway/header_match.h"

namespace autoglm::gateway {
namespace {

bool IsMeant(const FaultConfig& fault, std::string_view route, std::string_view tenant, const http::Request& request) {
  if (!fault.routes.empty() && std::ranges::find(fault.routes, route) == fault.routes.end()) return false;
  return FitsAny(tenant, fault.tenants) && HeadersFit(request, fault.headers);
}

}  // namespace

std::chrono::nanoseconds Jittered(std::chrono::nanoseconds duration, double jitter, Random& random) {
  const double factor = 1 + jitter * (2 * random.NextDouble() - 1);
  return std::chrono::nanoseconds(static_cast<int64_t>(static_cast<double>(duration.count()) * std::max(factor, 0.0)));
}

FaultPlan PlanFaults(std::span<const FaultConfig> faults, std::string_view route, std::string_view tenant,
                     const http::Request& request, Random& random) {
  FaultPlan plan;
  for (const FaultConfig& fault : faults) {
    if (!IsMeant(fault, route, tenant, request) || random.NextDouble() * 100 >= fault.percent) continue;
    plan.names += plan.names.empty() ? fault.name : ", " + fault.name;
    plan.delay += Jittered(fault.delay, fault.jitter, random);
    plan.first_token_delay += Jittered(fault.first_token_delay, fault.jitter, random);
    plan.token_delay += fault.token_delay;
    plan.jitter = std::max(plan.jitter, fault.jitter);
    if (plan.abort_status == 0) plan.abort_status = fault.abort_status;
    if (plan.cut_after_events < 0) plan.cut_after_events = fault.cut_after_events;
  }
  return plan;
}

}  // namespace autoglm::gateway
