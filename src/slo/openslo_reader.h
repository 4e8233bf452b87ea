#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "slo/slo_file.h"

namespace autoglm::slo {

// OpenSLO v1, any number of YAML documents: SLO with an indicator in it or by indicatorRef to an SLI; other kinds are checked to
// be OpenSLO and passed over. Ratio metrics that are this server's become objectives that the built-in evaluator counts; others
// keep their queries (kRawRatio). What WriteOpenSlo writes is read exactly as it was. Refused, because nothing here can count it:
// threshold metrics, time slices, calendar windows, sources other than Prometheus. Errors: kInvalidArgument with "FILE:LINE: "
// or, for what two objectives contradict each other in, "FILE: ".
Result<SloFile> ParseOpenSlo(const std::string& yaml, std::string_view file_name);

}  // namespace autoglm::slo
