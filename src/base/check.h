#pragma once

namespace autoglm {

[[noreturn]] void CheckFailed(const char* expression, const char* file, int line);

}  // namespace autoglm

// A fact this program guarantees, checked in release builds too. What a user, a peer or a file can cause is a Result instead.
#define AUTOGLM_CHECK(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : ::autoglm::CheckFailed(#condition, __FILE__, __LINE__))
