#pragma once

#include <cstdint>

namespace autoglm {

// Lets this process open at least `wanted` files (a connection is one), as far as the system allows it. Never lowers the
// limit. Returns how many it may open now.
int64_t RaiseDescriptorLimit(int64_t wanted);

}  // namespace autoglm
