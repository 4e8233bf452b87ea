#pragma once

#include <functional>

#include "auth/wall_time.h"
#include "base/result.h"

namespace autoglm {

// What this room asks of its surroundings. All are called from any thread.
struct AuthHooks {
  std::function<WallTime()> wall_now = std::chrono::system_clock::now;
  // Keys could not be read again; those that were read last stay. Once for each new problem.
  std::function<void(const Error&)> on_problem = [](const Error&) {};
  // Within Authenticate, for a token whose "kid" is not among the keys: whoever fetches them should, soon.
  std::function<void()> on_unknown_key = [] {};
};

}  // namespace autoglm
