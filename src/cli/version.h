#pragma once

#include <string>
#include <string_view>

namespace autoglm {

// "0.1.0".
std::string_view Version();
// What --version prints, on one line: version, compiler, and the best instruction set of this machine.
std::string VersionText();

}  // namespace autoglm
