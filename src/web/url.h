#pragma once

#include <string>
#include <string_view>

namespace autoglm {

// "a%2Fb" -> "a/b". What is no %XX stays as it is.
std::string PercentDecode(std::string_view text);

}  // namespace autoglm
