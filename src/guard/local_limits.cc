#include "guard/local_limits.h"

#include <utility>

namespace autoglm::guard {
namespace {

class UnlimitedUsage final : public Usage {
 public:
  UnlimitedUsage() : Usage(RateLimits()) {}
  void Settle(int64_t, int64_t) override {}
};

class LocalUsage final : public Usage {
 public:
  LocalUsage(Permit permit, BudgetHold hold, std::shared_ptr<const PriceList> prices, std::string model)
      : Usage(permit.limits()),
        permit_(std::move(permit)),
        hold_(std::move(hold)),
        prices_(std::move(prices)),
        model_(std::move(model)) {}

  void Settle(int64_t input_tokens, int64_t output_tokens) override {
    permit_.Settle(input_tokens + output_tokens);
    hold_.Settle(prices_->CostOf(model_, input_tokens, output_tokens));
  }

 private:
  Permit permit_;
  BudgetHold hold_;
  const std::shared_ptr<const PriceList> prices_;
  const std::string model_;
};

}  // namespace

LocalLimits::LocalLimits(const UsageLimitOptions& options, const Clock& clock, GuardHooks hooks,
                         std::unique_ptr<BudgetLedger> ledger)
    : hooks_(std::move(hooks)),
      prices_(std::make_shared<const PriceList>(options.prices)),
      ledger_(std::move(ledger)),
      rates_(clock) {}

Result<std::unique_ptr<LocalLimits>> LocalLimits::Create(const UsageLimitOptions& options, const Clock& clock, GuardHooks hooks) {
  AUTOGLM_TRY(std::unique_ptr<BudgetLedger> ledger,
              BudgetLedger::Open(options.budget_database, hooks.wall_now(), hooks.on_problem));
  return std::unique_ptr<LocalLimits>(new LocalLimits(options, clock, std::move(hooks), std::move(ledger)));
}

std::unique_ptr<Usage> LocalLimits::Unlimited() { return std::make_unique<UnlimitedUsage>(); }

std::optional<Granted> LocalLimits::Acquire(const Principal& principal, const UsageEstimate& estimate, http::EventLoop&,
                                            std::function<void(Granted)>) {
  return AcquireNow(principal, estimate);
}

Granted LocalLimits::AcquireNow(const Principal& principal, const UsageEstimate& estimate) {
  if (!IsLimited(principal.policy)) return Unlimited();
  const auto [model, input_tokens, max_output_tokens] = estimate;
  BudgetHold hold;
  if (principal.policy.budget > 0) {
    const WallTime now = hooks_.wall_now();
    auto reserved =
        ledger_->Reserve(*BudgetAccount::Of(principal, now), prices_->CostOf(model, input_tokens, max_output_tokens), now);
    if (!reserved) return tl::unexpected(std::move(reserved).error());
    hold = *std::move(reserved);
  }
  auto permit = rates_.Acquire(principal, input_tokens + max_output_tokens);
  if (!permit) return tl::unexpected(std::move(permit).error());
  return std::make_unique<LocalUsage>(*std::move(permit), std::move(hold), prices_, model);
}

}  // namespace autoglm::guard
