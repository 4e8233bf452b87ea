#pragma once

#include <string>
#include <vector>

#include "cli/console.h"

namespace autoglm {

// The program: parses the arguments (without the program's name), runs the command, prints errors as one line "autoglm: ..."
// on console.err. Returns the exit code: 0, 1 for what failed, 2 for arguments that make no sense.
int RunCommandLine(const std::vector<std::string>& arguments, Console& console);

}  // namespace autoglm
