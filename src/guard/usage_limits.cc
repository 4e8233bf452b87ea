#include "guard/usage_limits.h"

#include <utility>

#include "guard/local_limits.h"
#include "guard/shared_limits.h"

namespace autoglm::guard {

Result<std::unique_ptr<UsageLimits>> UsageLimits::Create(UsageLimitOptions options, const Clock& clock, GuardHooks hooks) {
  AUTOGLM_TRY(std::unique_ptr<LocalLimits> alone, LocalLimits::Create(options, clock, hooks));
  if (!options.redis) return alone;
  return std::make_unique<SharedLimits>(*std::move(options.redis), std::move(alone), std::move(hooks));
}

}  // namespace autoglm::guard
