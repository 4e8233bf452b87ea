#pragma once

#include <string>

#include "slo/slo_lint.h"
#include "slo/slo_status.h"

namespace autoglm {

// What `autoglm slo` prints for people: tables whose columns stand under each other.
std::string FormatSloStatus(const slo::SloStatus& status);
std::string FormatSloLint(const slo::LintReport& report);

}  // namespace autoglm
