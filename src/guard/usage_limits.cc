#include "guard/usage_limits.h"

#include <utility>

#include "guard/local_limits.h"

namespace autoglm::guard {

Result<std::unique_ptr<UsageLimits>> UsageLimits::Create(UsageLimitOptions options, const Clock& clock, GuardHooks hooks) {
  return LocalLimits::Create(options, clock, std::move(hooks));
}

}  // namespace autoglm::guard
