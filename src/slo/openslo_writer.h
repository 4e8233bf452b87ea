#pragma once

#include <string>

#include "slo/prom_query.h"
#include "slo/slo_file.h"

namespace autoglm::slo {

// OpenSLO v1: a Service and its SLOs, each a YAML document. What OpenSLO has no word for stands in annotations "autoglm.dev/...":
// as it is where OpenSLO allows that, else in hexadecimal digits, in pieces "autoglm.dev/path.hex0".
std::string WriteOpenSlo(const SloFile& file, Source source);

inline constexpr const char* kAnnotationPrefix = "autoglm.dev/";

}  // namespace autoglm::slo
