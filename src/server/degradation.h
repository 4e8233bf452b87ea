#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace autoglm {

// What a server gives up, step by step, before it refuses: each step from so much pressure on (Engine::Pressure: 0 idle, 1 full).
// 0: never.
struct DegradationOptions {
  double cap_from = 0;
  int64_t cap_tokens = 0;  // of an answer
  double one_choice_from = 0;
  double smaller_model_from = 0;
  std::string smaller_model;
  double refuse_from = 0;  // requests that can wait

  bool operator==(const DegradationOptions&) const = default;
};

// What is asked of an engine, as far as a step may change it.
struct Degradable {
  int64_t max_tokens = 0;
  int64_t num_choices = 1;
};

// The steps' names in the header x-degraded and in autoglm_degraded_requests_total.
inline constexpr const char* kDegradedMaxTokens = "max_tokens";
inline constexpr const char* kDegradedChoices = "n";
inline constexpr const char* kDegradedModel = "model";
inline constexpr const char* kDegradedRefused = "refused";

// Takes the steps that this pressure asks for, of the first two. Their names, where they changed something.
std::vector<std::string> Degrade(const DegradationOptions& options, double pressure, Degradable& asked);

// Whether a request goes to the smaller model. One that asks for that itself stays.
bool GoesToSmallerModel(const DegradationOptions& options, double pressure, const std::string& model);

// How much of a hurry a request is in.
struct Urgency {
  Duration target{};           // of its class
  Duration standard_target{};  // of the class of requests that say nothing
  int64_t priority = 0;
};

// Whether a request is turned away because it can wait: its class or its priority says so.
bool IsRefusedUnderPressure(const DegradationOptions& options, double pressure, const Urgency& urgency);

}  // namespace autoglm
