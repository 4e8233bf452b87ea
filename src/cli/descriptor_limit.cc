#include "cli/descriptor_limit.h"

#include <sys/resource.h>

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace autoglm {
namespace {

// RLIM_INFINITY is the largest rlim_t.
int64_t ToCount(rlim_t limit) {
  return static_cast<int64_t>(std::min<rlim_t>(limit, static_cast<rlim_t>(std::numeric_limits<int64_t>::max())));
}

}  // namespace

int64_t RaiseDescriptorLimit(int64_t wanted) {
  rlimit limit{};
  AUTOGLM_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const int64_t before = ToCount(limit.rlim_cur);
  if (before >= wanted) return before;
  limit.rlim_cur = std::min(static_cast<rlim_t>(wanted), limit.rlim_max);
  return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? ToCount(limit.rlim_cur) : before;
}

}  // namespace autoglm
