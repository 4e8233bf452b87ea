#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "slo/slo_file.h"
#include "slo/slo_status.h"

namespace autoglm::slo {

// Asks Prometheus one instant query: the body that /api/v1/query answers.
using AskPrometheus = std::function<Result<std::string>(const std::string& query)>;

// One series of an instant vector.
struct PromValue {
  std::vector<std::pair<std::string, std::string>> labels;
  double value = 0;

  std::string_view Label(std::string_view name) const;
};
// Errors: kInvalidArgument for what is no answer of Prometheus, kUnavailable with its message where it refused.
Result<std::vector<PromValue>> ParsePromAnswer(std::string_view body);

// Budgets and alerts as the rules of WriteRules have recorded them, for all objectives with four queries. Of an objective that
// Prometheus knows nothing of, `unknown` says so. Errors: of `ask` and ParsePromAnswer.
Result<SloStatus> StatusFromPrometheus(const SloFile& file, const AskPrometheus& ask);

}  // namespace autoglm::slo
