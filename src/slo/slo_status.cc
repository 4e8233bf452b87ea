#include "slo/slo_status.h"

#include <fmt/format.h>

#include <algorithm>

#include "json/fields.h"
#include "telemetry/utc_time.h"

namespace autoglm::slo {
namespace {

Json ToJson(const AlertStatus& alert) {
  Json json{{"severity", SeverityName(alert.severity)}, {"state", alert.is_firing ? "firing" : "inactive"}};
  if (alert.since != WallTime{}) json["since"] = FormatUtc(alert.since);
  return json;
}

Json ToJson(const ObjectiveStatus& status) {
  const Objective& objective = status.objective;
  Json json{{"id", objective.id()},       {"service", objective.service},
            {"name", objective.name},     {"objective", objective.objective_name},
            {"target", objective.target}, {"window", fmt::format("{}d", objective.window_days())}};
  if (objective.has_threshold()) json["threshold_seconds"] = objective.threshold_s;
  json["min_events"] = objective.min_events;
  if (!objective.description.empty()) json["description"] = objective.description;
  if (!objective.runbook_url.empty()) json["runbook_url"] = objective.runbook_url;
  if (!status.unknown.empty()) {
    json["unknown"] = status.unknown;
    return json;
  }
  json["total"] = status.counts.total;
  json["bad"] = status.counts.bad;
  json["error_ratio"] = status.counts.error_ratio();
  json["budget_remaining"] = status.budget_remaining;
  Json windows = Json::object();
  for (const WindowStatus& window : status.windows) {
    windows[window.window] = {{"total", window.counts.total},
                              {"bad", window.counts.bad},
                              {"error_ratio", window.counts.error_ratio()},
                              {"burn_rate", window.burn_rate}};
  }
  json["windows"] = std::move(windows);
  Json alerts = Json::array();
  for (const AlertStatus& alert : status.alerts) alerts.push_back(ToJson(alert));
  json["alerts"] = std::move(alerts);
  return json;
}

std::optional<std::string> ReasonToClose(const ObjectiveStatus& status, const GatePolicy& policy) {
  const std::string id = status.objective.id();
  if (policy.close_on_page && status.IsFiring(Severity::kPage)) return id + ": a page fires, the error budget burns too fast";
  if (policy.close_on_exhausted_budget && status.IsExhausted(policy.least_budget)) {
    return fmt::format("{}: {:.1f} % of the error budget of {} days are left", id, status.budget_remaining * 100,
                       status.objective.window_days());
  }
  if (policy.close_on_ticket && status.IsFiring(Severity::kTicket)) return id + ": a ticket is open on the error budget";
  return std::nullopt;
}

Result<ObjectiveStatus> ReadObjectiveStatus(const Json& json, size_t index) {
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(json, fmt::format("slos[{}]", index)));
  ObjectiveStatus status;
  Objective& objective = status.objective;
  for (const auto& [name, text] : {std::pair<std::string_view, std::string*>{"service", &objective.service},
                                   {"name", &objective.name},
                                   {"objective", &objective.objective_name},
                                   {"unknown", &status.unknown}}) {
    AUTOGLM_TRY(std::optional<std::string> value, fields.String(name));
    *text = value.value_or("");
  }
  if (objective.service.empty() || objective.name.empty()) return fields.Refuse("name", "and service are required");
  AUTOGLM_TRY(const std::optional<double> target, fields.Number("target"));
  objective.target = target.value_or(0);
  AUTOGLM_TRY(const std::optional<std::string> window, fields.String("window"));
  objective.window = ParseWindow(window.value_or("")).value_or(objective.window);
  AUTOGLM_TRY(const std::optional<int64_t> min_events, fields.Integer("min_events"));
  objective.min_events = min_events.value_or(objective.min_events);
  if (!status.unknown.empty()) return status;
  AUTOGLM_TRY(const std::optional<int64_t> total, fields.Integer("total"));
  AUTOGLM_TRY(const std::optional<int64_t> bad, fields.Integer("bad"));
  AUTOGLM_TRY(const std::optional<double> remaining, fields.Number("budget_remaining"));
  if (!total || !bad || !remaining) return fields.Refuse("budget_remaining", "and total and bad are required");
  status.counts = {*total, *bad};
  status.budget_remaining = *remaining;
  AUTOGLM_TRY(const Json* windows, fields.Object("windows"));
  if (windows != nullptr) {
    for (const auto& [name, value] : windows->items()) {
      AUTOGLM_TRY(const JsonFields of_window, JsonFields::Of(value, fields.Path("windows")));
      AUTOGLM_TRY(const std::optional<double> burn_rate, of_window.Number("burn_rate"));
      AUTOGLM_TRY(const std::optional<int64_t> in_window, of_window.Integer("total"));
      AUTOGLM_TRY(const std::optional<int64_t> bad_in_window, of_window.Integer("bad"));
      status.windows.push_back({name, {in_window.value_or(0), bad_in_window.value_or(0)}, burn_rate.value_or(0)});
    }
  }
  AUTOGLM_TRY(const Json* alerts, fields.Array("alerts"));
  if (alerts == nullptr) return status;
  for (const Json& alert : *alerts) {
    AUTOGLM_TRY(const JsonFields of_alert, JsonFields::Of(alert, fields.Path("alerts")));
    AUTOGLM_TRY(const std::optional<std::string> severity, of_alert.String("severity"));
    AUTOGLM_TRY(const std::optional<std::string> state, of_alert.String("state"));
    status.alerts.push_back({severity == "page" ? Severity::kPage : Severity::kTicket, state == "firing"});
  }
  return status;
}

}  // namespace

bool ObjectiveStatus::IsFiring(Severity severity) const {
  return std::ranges::any_of(alerts,
                             [severity](const AlertStatus& alert) { return alert.severity == severity && alert.is_firing; });
}

bool ObjectiveStatus::IsExhausted(double least_budget) const {
  return budget_remaining <= least_budget && counts.bad >= objective.min_events;
}

std::string_view GateStateName(GateStatus::State state) {
  switch (state) {
    case GateStatus::State::kOpen:
      return "open";
    case GateStatus::State::kClosed:
      return "closed";
    case GateStatus::State::kUnknown:
      break;
  }
  return "unknown";
}

GateStatus JudgeGate(const std::vector<ObjectiveStatus>& objectives, const GatePolicy& policy) {
  GateStatus unknown{GateStatus::State::kOpen, "all error budgets are in order"};
  for (const ObjectiveStatus& status : objectives) {
    const bool is_ignored = std::ranges::any_of(policy.ignored, [&status](const std::string& name) {
      return name == status.objective.name || name == status.objective.id();
    });
    if (is_ignored) continue;
    if (!status.unknown.empty()) {
      unknown = {GateStatus::State::kUnknown, status.objective.id() + ": " + status.unknown};
    } else if (const std::optional<std::string> reason = ReasonToClose(status, policy)) {
      return {GateStatus::State::kClosed, *reason};
    }
  }
  return unknown;
}

std::vector<ObjectiveStatus> WithName(const std::vector<ObjectiveStatus>& objectives, const std::string& name) {
  std::vector<ObjectiveStatus> found;
  std::ranges::copy_if(objectives, std::back_inserter(found), [&name](const ObjectiveStatus& status) {
    return status.objective.name == name || status.objective.id() == name;
  });
  return found;
}

Json ToJson(const SloStatus& status) {
  Json list = Json::array();
  for (const ObjectiveStatus& objective : status.objectives) list.push_back(ToJson(objective));
  return {{"object", "slo.status"},
          {"time", FormatUtc(status.time)},
          {"gate", {{"state", GateStateName(status.gate.state)}, {"reason", status.gate.reason}}},
          {"slos", std::move(list)}};
}

Result<SloStatus> StatusFromJson(const Json& json) {
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(json, ""));
  SloStatus status;
  AUTOGLM_TRY(const Json* gate, fields.Object("gate"));
  AUTOGLM_TRY(const Json* list, fields.Array("slos"));
  if (gate == nullptr || list == nullptr) return fields.Refuse("slos", "and gate are required");
  AUTOGLM_TRY(const JsonFields of_gate, JsonFields::Of(*gate, "gate"));
  AUTOGLM_TRY(const std::optional<std::string> state, of_gate.String("state"));
  AUTOGLM_TRY(const std::optional<std::string> reason, of_gate.String("reason"));
  status.gate.state = state == "open"     ? GateStatus::State::kOpen
                      : state == "closed" ? GateStatus::State::kClosed
                                          : GateStatus::State::kUnknown;
  status.gate.reason = reason.value_or("no reason was given");
  for (size_t i = 0; i < list->size(); ++i) {
    AUTOGLM_TRY(ObjectiveStatus objective, ReadObjectiveStatus((*list)[i], i));
    status.objectives.push_back(std::move(objective));
  }
  return status;
}

}  // namespace autoglm::slo
