#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "json/json.h"
#include "slo/burn_rate.h"
#include "slo/objective.h"
#include "slo/sliding_counts.h"
#include "slo/slo_file.h"

namespace autoglm::slo {

using WallTime = std::chrono::system_clock::time_point;

// What a window says of an objective.
struct WindowStatus {
  std::string window;  // "5m" to "3d", and the objective's own: "30d"
  EventCounts counts;
  double burn_rate = 0;  // 1 uses the budget up exactly at the window's end
};

struct AlertStatus {
  Severity severity = Severity::kPage;
  bool is_firing = false;
  WallTime since{};  // of the state; the epoch: always been so
};

struct ObjectiveStatus {
  Objective objective;
  std::string unknown;  // why nothing is known of it; empty: something is
  std::vector<WindowStatus> windows;
  EventCounts counts;           // of the objective's window
  double budget_remaining = 1;  // share of the budget; below 0: overspent
  std::vector<AlertStatus> alerts;

  bool IsFiring(Severity severity) const;
  // Enough bad requests that the budget may count as used up.
  bool IsExhausted(double least_budget) const;
};

struct GateStatus {
  enum class State { kOpen, kClosed, kUnknown };
  State state = State::kOpen;
  std::string reason;
};
std::string_view GateStateName(GateStatus::State state);  // "open", "closed", "unknown"

struct SloStatus {
  WallTime time{};
  std::vector<ObjectiveStatus> objectives;
  GateStatus gate;
};

// Closed where the policy says so of any objective that it does not ignore; else unknown where nothing is known of one.
GateStatus JudgeGate(const std::vector<ObjectiveStatus>& objectives, const GatePolicy& policy);
// Of those objectives alone that have this name or id.
std::vector<ObjectiveStatus> WithName(const std::vector<ObjectiveStatus>& objectives, const std::string& name);

// The answer of GET /v1/slo: {"object": "slo.status", "gate": {...}, "slos": [...]}.
Json ToJson(const SloStatus& status);
// The same read back, as far as a table and the gate need it. Errors: kInvalidArgument.
Result<SloStatus> StatusFromJson(const Json& json);

}  // namespace autoglm::slo
