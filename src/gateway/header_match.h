#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/server.h"

namespace autoglm::gateway {

// Whether a name fits one of the patterns ('*' for any characters); always where there are none.
bool FitsAny(std::string_view name, const std::vector<std::string>& patterns);

// Whether each named header is there with a value that fits its pattern.
bool HeadersFit(const http::Request& request, const std::vector<std::pair<std::string, std::string>>& patterns);

}  // namespace autoglm::gateway
