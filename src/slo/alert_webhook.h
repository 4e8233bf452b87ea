#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "json/json.h"
#include "slo/burn_rate.h"
#include "slo/slo_status.h"

namespace autoglm::slo {

// An alert that begins or ends, with the labels that the Prometheus rules give it.
struct AlertTransition {
  std::string name;
  std::map<std::string, std::string> labels;  // alertname among them
  std::map<std::string, std::string> annotations;
  bool is_firing = false;
  WallTime starts_at{};
  WallTime ends_at{};  // of one that ended
};
AlertTransition TransitionOf(const Objective& objective, const AlertStatus& alert, WallTime starts_at);

// The body that Alertmanager 0.25 sends to webhooks (version 4), of alerts that share the label sloth_id or not. Not empty.
Json WebhookBody(std::span<const AlertTransition> alerts, std::string_view receiver, std::string_view external_url);

}  // namespace autoglm::slo
