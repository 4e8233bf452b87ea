#pragma once

#include <cstddef>
#include <string_view>

namespace autoglm::jinja {

// The first place of `part` in `text` at or after `from`; npos where there is none. Linear time whatever the strings are,
// which std::string_view::find does not promise.
size_t FindBytes(std::string_view text, std::string_view part, size_t from);
// The last place of `part` in `text`. Likewise linear; copies its arguments.
size_t FindLastBytes(std::string_view text, std::string_view part);

}  // namespace autoglm::jinja
