#pragma once

#include <optional>
#include <string_view>

#include "http/server.h"

namespace autoglm {

// The console's files, which are a part of the program: "/console" and what is below it. nullopt where there is no such file.
// Pages may load nothing from elsewhere.
std::optional<http::Response> ConsolePage(std::string_view path);

}  // namespace autoglm
