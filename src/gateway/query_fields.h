#pragma once

#include <string>
#include <string_view>

namespace autoglm::gateway {

// The value of a name in "a=1&b=2", decoded; empty where absent.
std::string QueryField(std::string_view query, std::string_view name);

}  // namespace autoglm::gateway
