#pragma once

#include <string_view>

namespace autoglm {

// Whether `name` is what `pattern` says, in which '*' stands for any characters, also none. No name longer than 1 KiB fits.
bool FitsPattern(std::string_view name, std::string_view pattern);

}  // namespace autoglm
