#include "console/slo_options.h"

#include <utility>
#include <vector>

#include "slo/objective.h"
#include "slo/slo_file.h"

namespace autoglm {

Result<std::optional<SloServiceOptions>> MakeSloOptions(const SloConfig& config, std::string external_url) {
  if (config.file.empty()) return std::nullopt;
  SloServiceOptions options{.file = {}, .state = config.state, .webhook = {}, .external_url = std::move(external_url)};
  AUTOGLM_TRY(options.file, slo::LoadSloFile(config.file));
  if (!config.webhook.empty()) {
    AUTOGLM_TRY(options.webhook, CollectorAddress::Parse(config.webhook));
  }
  return options;
}

std::vector<double> LatencyBoundsOf(const std::optional<SloServiceOptions>& options) {
  if (!options) return {};
  const std::vector<slo::Objective>& objectives = options->file.objectives;
  return slo::WithBoundaries(slo::BucketBoundaries(objectives, slo::Indicator::kLatency), objectives,
                             slo::Indicator::kFirstToken);
}

}  // namespace autoglm
