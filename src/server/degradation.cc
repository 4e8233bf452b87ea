#include "server/degradation.h"

namespace autoglm {
namespace {

bool IsReached(double from, double pressure) { return from > 0 && pressure >= from; }

}  // namespace

std::vector<std::string> Degrade(const DegradationOptions& options, double pressure, Degradable& asked) {
  std::vector<std::string> steps;
  if (IsReached(options.cap_from, pressure) && asked.max_tokens > options.cap_tokens) {
    asked.max_tokens = options.cap_tokens;
    steps.emplace_back(kDegradedMaxTokens);
  }
  if (IsReached(options.one_choice_from, pressure) && asked.num_choices > 1) {
    asked.num_choices = 1;
    steps.emplace_back(kDegradedChoices);
  }
  return steps;
}

bool GoesToSmallerModel(const DegradationOptions& options, double pressure, const std::string& model) {
  return IsReached(options.smaller_model_from, pressure) && model != options.smaller_model;
}

bool IsRefusedUnderPressure(const DegradationOptions& options, double pressure, const Urgency& urgency) {
  const bool can_wait = urgency.target > urgency.standard_target || urgency.priority > 0;
  return can_wait && IsReached(options.refuse_from, pressure);
}

}  // namespace autoglm
