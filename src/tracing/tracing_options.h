#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "config/tracing_config.h"
#include "tracing/request_observer.h"

namespace autoglm {

// For a process of this version that serves at this port. Errors: kInvalidArgument for what is no address; as TlsContext's.
Result<TracingOptions> MakeTracingOptions(const TracingConfig& config, std::string_view default_service, std::string_view version,
                                          uint16_t port);

}  // namespace autoglm
