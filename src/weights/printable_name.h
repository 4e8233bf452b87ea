#pragma once

#include <string>
#include <string_view>

namespace autoglm {

// A name or key from a file, made fit for a message: unprintable bytes as \xNN, cut after 80 characters.
std::string PrintableName(std::string_view name);

}  // namespace autoglm
