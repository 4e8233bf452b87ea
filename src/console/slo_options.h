#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "config/slo_config.h"
#include "console/slo_service.h"

namespace autoglm {

// nullopt where there are no objectives. Errors: as slo::LoadSloFile; kInvalidArgument for what is no address.
Result<std::optional<SloServiceOptions>> MakeSloOptions(const SloConfig& config, std::string external_url);

// Bounds that histograms of latencies need, so that what these objectives promise can be told exactly.
std::vector<double> LatencyBoundsOf(const std::optional<SloServiceOptions>& options);

}  // namespace autoglm
