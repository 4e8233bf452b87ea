#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "auth/principal.h"
#include "auth/rate_limiter.h"
#include "auth/wall_time.h"

namespace autoglm::guard {

// One budget in one period: what requests are charged to.
struct BudgetAccount {
  std::string subject;  // "key:ID" or "tenant:NAME"
  BudgetPeriod period = BudgetPeriod::kMonth;
  int64_t begin_s = 0;           // Unix time; 0 for kTotal
  std::optional<int64_t> end_s;  // nullopt for kTotal
  int64_t limit = 0;             // in millionths, as PriceList counts

  // nullopt for who has no budget.
  static std::optional<BudgetAccount> Of(const Principal& principal, WallTime now);

  // "month 1793491200 key:key-1": another for every period.
  std::string Id() const;

  // That `cost` does not fit, with `used` and what running requests hold in `held`, both millionths. A second is told where it
  // fits once they end, nothing where no time helps, else the time to the period's end.
  RateLimiter::Refusal Refuse(int64_t cost, int64_t used, int64_t held, WallTime now) const;
};

}  // namespace autoglm::guard
