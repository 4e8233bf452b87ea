#pragma once

#include <chrono>

namespace autoglm {

// For what must survive a restart or comes from elsewhere: when a key was revoked, when a token expires. Durations in this
// process are measured by Clock.
using WallTime = std::chrono::system_clock::time_point;

}  // namespace autoglm
