#pragma once

#include <cstdint>

namespace autoglm {

// What a decoded text loses at its start.
enum class LeadingSpaces : uint8_t {
  kKept,
  kOneDropped,  // the one that encoding put there
  kAllDropped,  // where encoding removes extra spaces, the text had none
};

}  // namespace autoglm
