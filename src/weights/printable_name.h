#pragma once

#include <string>
#include <string_view>

namespace autoglm {

// A name or key from a file, made fit for a message: unprintable bytes as \xNN, cut after 80 characters.
std::string PrintableName(std::string_view name);

// Whether all of it is printable ASCII.
bool IsPrintable(std::string_view text);

}  // namespace autoglm
