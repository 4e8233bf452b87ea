#include "slo/prom_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "config/values.h"
#include "json/fields.h"

namespace autoglm::slo {
namespace {

constexpr std::string_view kWindowQuery = "{__name__=~\"slo:sli_error:ratio_rate.*\"}";
constexpr std::string_view kBadQuery = "{__name__=~\"slo:sli_bad:increase[0-9]+d\"}";
constexpr std::string_view kTotalQuery = "{__name__=~\"slo:sli_total:increase[0-9]+d\"}";
constexpr std::string_view kAlertQuery = "ALERTS{alertstate=\"firing\",sloth_severity!=\"\"}";

// By sloth_id and sloth_window.
using Values = std::map<std::pair<std::string, std::string>, double>;

Result<Values> AskValues(const AskPrometheus& ask, std::string_view query) {
  AUTOGLM_TRY(const std::string body, ask(std::string(query)));
  AUTOGLM_TRY(const std::vector<PromValue> list, ParsePromAnswer(body));
  Values values;
  for (const PromValue& value : list) {
    values[{std::string(value.Label("sloth_id")), std::string(value.Label("sloth_window"))}] = value.value;
  }
  return values;
}

// Numbers of requests are extrapolated, and not whole.
int64_t Count(const Values& values, const std::string& id, const std::string& window) {
  const auto found = values.find({id, window});
  if (found == values.end() || !(found->second > 0)) return 0;
  return std::llround(std::min(found->second, 1e15));
}

}  // namespace

std::string_view PromValue::Label(std::string_view name) const {
  for (const auto& [label, text] : labels) {
    if (label == name) return text;
  }
  return {};
}

Result<std::vector<PromValue>> ParsePromAnswer(std::string_view body) {
  AUTOGLM_TRY(const Json json, ParseJson(body));
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(json, "Prometheus' answer"));
  AUTOGLM_TRY(const std::optional<std::string> status, fields.String("status"));
  if (status != "success") {
    AUTOGLM_TRY(const std::optional<std::string> error, fields.String("error"));
    return Fail(ErrorCode::kUnavailable, "Prometheus says: " + error.value_or("nothing that can be understood"));
  }
  AUTOGLM_TRY(const Json* data, fields.Object("data"));
  if (data == nullptr) return fields.Refuse("data", "is missing");
  AUTOGLM_TRY(const JsonFields of_data, JsonFields::Of(*data, "data"));
  AUTOGLM_TRY(const Json* list, of_data.Array("result"));
  if (list == nullptr) return of_data.Refuse("result", "is missing");
  std::vector<PromValue> values;
  for (const Json& entry : *list) {
    AUTOGLM_TRY(const JsonFields of_entry, JsonFields::Of(entry, "result"));
    AUTOGLM_TRY(const Json* metric, of_entry.Object("metric"));
    AUTOGLM_TRY(const Json* pair, of_entry.Array("value"));
    if (metric == nullptr || pair == nullptr || pair->size() != 2 || !(*pair)[1].is_string()) {
      return of_entry.Refuse("value", "and metric are required");
    }
    PromValue value;
    for (const auto& [label, text] : metric->items()) {
      if (text.is_string()) value.labels.emplace_back(label, text.get<std::string>());
    }
    const Result<double> number = ParseReal((*pair)[1].get<std::string>(), -1e300, 1e300);
    if (!number) continue;  // NaN and infinities: nothing is known
    value.value = *number;
    values.push_back(std::move(value));
  }
  return values;
}

Result<SloStatus> StatusFromPrometheus(const SloFile& file, const AskPrometheus& ask) {
  AUTOGLM_TRY(const Values ratios, AskValues(ask, kWindowQuery));
  AUTOGLM_TRY(const Values bad, AskValues(ask, kBadQuery));
  AUTOGLM_TRY(const Values total, AskValues(ask, kTotalQuery));
  AUTOGLM_TRY(const std::string alerts_body, ask(std::string(kAlertQuery)));
  AUTOGLM_TRY(const std::vector<PromValue> alerts, ParsePromAnswer(alerts_body));

  SloStatus status{.time = std::chrono::system_clock::now()};
  for (const Objective& objective : file.objectives) {
    ObjectiveStatus& of = status.objectives.emplace_back(ObjectiveStatus{.objective = objective});
    const std::string id = objective.id();
    const std::string period = fmt::format("{}d", objective.window_days());
    const auto of_period = ratios.find({id, period});
    if (of_period == ratios.end()) {
      of.unknown = "Prometheus has no record of it: are its rules loaded, and were there requests?";
      continue;
    }
    for (const auto& [key, ratio] : ratios) {
      if (key.first == id) of.windows.push_back({key.second, {}, ratio / objective.budget()});
    }
    of.counts = {Count(total, id, period), Count(bad, id, period)};
    of.budget_remaining = 1 - of_period->second / objective.budget();
    for (const Severity severity : {Severity::kPage, Severity::kTicket}) {
      const bool is_firing = std::ranges::any_of(alerts, [&](const PromValue& alert) {
        return alert.Label("sloth_id") == id && alert.Label("sloth_severity") == SeverityName(severity);
      });
      of.alerts.push_back({severity, is_firing});
    }
  }
  status.gate = JudgeGate(status.objectives, file.gate);
  return status;
}

}  // namespace autoglm::slo
