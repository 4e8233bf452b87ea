#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "slo/burn_rate.h"
#include "slo/objective.h"
#include "slo/prom_query.h"

namespace autoglm::slo {

struct RulesOptions {
  Source source = Source::kServer;
  FactorChoice factors = FactorChoice::kFitted;
};

// A file of Prometheus rules.
struct RulesFile {
  std::string yaml;
  // Objectives that the metrics cannot tell, as "user-api-x: tenant: ...". The file has a comment on each.
  std::vector<std::string> left_out;
};

// Recording and alerting rules in Sloth's names, three groups for each objective, so that its dashboards show them:
//   slo:sli_error:ratio_rate5m, 30m, 1h, 2h, 6h, 1d, 3d and of the objective's window; slo:objective:ratio and what follows from
//   it.
// Beside Sloth's: slo:sli_bad:increase<window> and slo:sli_total:increase<window>, numbers of requests. With them a window's
// ratio is one of requests and not of minutes, and no alert fires for less than min_events bad ones. Errors: kUnsupported where
// no objective is left.
Result<RulesFile> WriteRules(const std::vector<Objective>& objectives, const RulesOptions& options);

// "UserApiLatencyP95300msBurn": one name for page and ticket, which the label sloth_severity tells apart.
std::string BurnAlertName(const Objective& objective);
// "HighRequestLatency", "HighFirstTokenLatency".
std::string QuantileAlertName(const Objective& objective);

// Configuration of Alertmanager: pages and tickets to a webhook each, grouped by objective; while a page fires, the ticket of the
// same objective is kept back. `webhook_url` empty: receivers that notify nobody yet.
// Errors: kInvalidArgument for what is no http:// or https:// URL.
Result<std::string> WriteAlertmanagerConfig(const std::string& webhook_url);

}  // namespace autoglm::slo
