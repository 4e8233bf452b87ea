#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "guard/budget_ledger.h"
#include "guard/price_list.h"
#include "guard/usage_limits.h"

namespace autoglm::guard {

// Limits as this process counts them.
class LocalLimits final : public UsageLimits {
 public:
  // Errors: those of BudgetLedger.
  static Result<std::unique_ptr<LocalLimits>> Create(const UsageLimitOptions& options, const Clock& clock, GuardHooks hooks);

  std::optional<Granted> Acquire(const Principal& principal, const UsageEstimate& estimate, http::EventLoop& loop,
                                 std::function<void(Granted)> done) override;
  void Leave(http::EventLoop&) override {}

  // The budget is asked first: only what it holds can be given back as if nothing had been.
  Granted AcquireNow(const Principal& principal, const UsageEstimate& estimate);

  // Whether anything at all is counted for this one.
  static bool IsLimited(const Policy& policy) { return policy.budget > 0 || RateLimiter::HasLimits(policy); }
  // For who is not limited.
  static std::unique_ptr<Usage> Unlimited();

  BudgetLedger& ledger() { return *ledger_; }
  const PriceList& prices() const { return *prices_; }

 private:
  LocalLimits(const UsageLimitOptions& options, const Clock& clock, GuardHooks hooks, std::unique_ptr<BudgetLedger> ledger);

  const GuardHooks hooks_;
  const std::shared_ptr<const PriceList> prices_;  // usages have it, too
  const std::unique_ptr<BudgetLedger> ledger_;
  RateLimiter rates_;
};

}  // namespace autoglm::guard
