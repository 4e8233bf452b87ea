#include "slo/alert_webhook.h"

#include <fmt/format.h>

#include <algorithm>

#include "slo/rules_file.h"
#include "telemetry/utc_time.h"

namespace autoglm::slo {
namespace {

using Texts = std::map<std::string, std::string>;

// FNV-1a over names and values, as Prometheus makes fingerprints of label sets.
std::string Fingerprint(const Texts& labels) {
  uint64_t hash = 14695981039346656037U;
  const auto add = [&hash](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    hash = (hash ^ 0xff) * 1099511628211U;
  };
  for (const auto& [name, value] : labels) {
    add(name);
    add(value);
  }
  return fmt::format("{:016x}", hash);
}

Json ToJson(const Texts& texts) {
  Json json = Json::object();
  for (const auto& [name, value] : texts) json[name] = value;
  return json;
}

Texts Common(std::span<const AlertTransition> alerts, Texts AlertTransition::* texts) {
  Texts common = alerts.front().*texts;
  for (const AlertTransition& alert : alerts) {
    std::erase_if(common, [&](const auto& entry) {
      const auto found = (alert.*texts).find(entry.first);
      return found == (alert.*texts).end() || found->second != entry.second;
    });
  }
  return common;
}

std::string_view StateName(bool is_firing) { return is_firing ? "firing" : "resolved"; }

}  // namespace

AlertTransition TransitionOf(const Objective& objective, const AlertStatus& alert, WallTime starts_at) {
  const std::string severity(SeverityName(alert.severity));
  AlertTransition transition{.name = BurnAlertName(objective), .is_firing = alert.is_firing, .starts_at = starts_at};
  transition.labels = {{"alertname", transition.name},       {"severity", severity},       {"sloth_id", objective.id()},
                       {"sloth_service", objective.service}, {"sloth_severity", severity}, {"sloth_slo", objective.name}};
  if (!objective.owner.empty()) transition.labels["owner"] = objective.owner;
  if (!objective.team.empty()) transition.labels["team"] = objective.team;
  transition.annotations["title"] =
      fmt::format("({}) {} {} SLO error budget burn rate is too fast.", severity, objective.service, objective.name);
  if (!objective.description.empty()) transition.annotations["description"] = objective.description;
  if (!objective.runbook_url.empty()) transition.annotations["runbook_url"] = objective.runbook_url;
  if (!alert.is_firing) transition.ends_at = alert.since;
  return transition;
}

Json WebhookBody(std::span<const AlertTransition> alerts, std::string_view receiver, std::string_view external_url) {
  Json list = Json::array();
  for (const AlertTransition& alert : alerts) {
    list.push_back({{"status", StateName(alert.is_firing)},
                    {"labels", ToJson(alert.labels)},
                    {"annotations", ToJson(alert.annotations)},
                    {"startsAt", FormatUtc(alert.starts_at)},
                    {"endsAt", alert.is_firing ? "0001-01-01T00:00:00Z" : FormatUtc(alert.ends_at)},
                    {"generatorURL", ""},
                    {"fingerprint", Fingerprint(alert.labels)}});
  }
  const Texts common = Common(alerts, &AlertTransition::labels);
  Texts group;
  std::string group_key = "{}:{";
  for (const char* name : {"alertname", "severity", "sloth_id", "sloth_service"}) {
    const auto found = common.find(name);
    if (found == common.end()) continue;
    group.insert(*found);
    group_key += fmt::format("{}{}=\"{}\"", group_key.ends_with('{') ? "" : ", ", name, found->second);
  }
  const bool any_fires = std::ranges::any_of(alerts, &AlertTransition::is_firing);
  return {{"version", "4"},
          {"groupKey", group_key + "}"},
          {"truncatedAlerts", 0},
          {"status", StateName(any_fires)},
          {"receiver", receiver},
          {"groupLabels", ToJson(group)},
          {"commonLabels", ToJson(common)},
          {"commonAnnotations", ToJson(Common(alerts, &AlertTransition::annotations))},
          {"externalURL", external_url},
          {"alerts", std::move(list)}};
}

}  // namespace autoglm::slo
