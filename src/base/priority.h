#pragma once

#include <cstdint>

namespace autoglm {

// Requests carry a number as vLLM's: lower goes first. This is the least urgent, its negative the most.
inline constexpr int64_t kMaxPriority = 100;

}  // namespace autoglm
