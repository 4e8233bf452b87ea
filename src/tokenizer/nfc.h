#pragma once

#include <string>
#include <string_view>

namespace autoglm {

// `text` in Unicode normalisation form C. `text` must be valid UTF-8. Linear in its length but for sorting runs of
// combining marks (n log n).
std::string NormalizeNfc(std::string_view text);

// True where a glance shows that NormalizeNfc would change nothing: no character is U+0300 or above.
bool IsSurelyNfc(std::string_view text);

}  // namespace autoglm
