#include "guard/budget_account.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace autoglm::guard {
namespace {

using std::chrono::days;
using std::chrono::sys_days;

constexpr double kMillionths = 1e6;

int64_t UnixSeconds(WallTime time) { return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count(); }

struct Span {
  int64_t begin_s = 0;
  std::optional<int64_t> end_s;
};

Span SpanOf(BudgetPeriod period, WallTime now) {
  const sys_days today = std::chrono::floor<days>(now);
  const std::chrono::year_month_day date(today);
  const sys_days first(date.year() / date.month() / 1);
  switch (period) {
    case BudgetPeriod::kDay:
      return {UnixSeconds(today), UnixSeconds(today + days(1))};
    case BudgetPeriod::kMonth:
      return {UnixSeconds(first), UnixSeconds(sys_days((date.year() / date.month() + std::chrono::months(1)) / 1))};
    case BudgetPeriod::kTotal:
      return {};
  }
  return {};
}

// "10 a month".
std::string Describe(int64_t limit, BudgetPeriod period) {
  const double units = static_cast<double>(limit) / kMillionths;
  return period == BudgetPeriod::kTotal ? fmt::format("{}", units) : fmt::format("{} a {}", units, BudgetPeriodName(period));
}

}  // namespace

std::optional<BudgetAccount> BudgetAccount::Of(const Principal& principal, WallTime now) {
  const Policy& policy = principal.policy;
  if (policy.budget <= 0) return std::nullopt;
  const Span span = SpanOf(policy.budget_period, now);
  const bool is_tenants = policy.budget_of == BudgetOwner::kTenant;
  return BudgetAccount{.subject = (is_tenants ? "tenant:" : "key:") + (is_tenants ? policy.tenant : principal.key_id),
                       .period = policy.budget_period,
                       .begin_s = span.begin_s,
                       .end_s = span.end_s,
                       .limit = std::max<int64_t>(std::llround(policy.budget * kMillionths), 1)};
}

std::string BudgetAccount::Id() const { return fmt::format("{} {} {}", BudgetPeriodName(period), begin_s, subject); }

RateLimiter::Refusal BudgetAccount::Refuse(int64_t cost, int64_t used, int64_t held, WallTime now) const {
  const auto refuse = [](std::string message, int64_t retry_after_s) {
    return RateLimiter::Refusal{.error = {.code = ErrorCode::kResourceExhausted, .message = std::move(message)},
                                .retry_after_seconds = retry_after_s,
                                .state = {}};
  };
  const std::string budget = Describe(limit, period);
  if (used + cost <= limit) {
    return refuse(fmt::format("requests that run may use the rest of the budget of {}; try again in 1 s", budget), 1);
  }
  const int64_t left = std::max<int64_t>(limit - used - held, 0);
  const std::string what =
      left == 0 ? fmt::format("the budget of {} is used up", budget)
                : fmt::format("the request may cost {}, and {} of the budget of {} are left: ask for fewer tokens",
                              static_cast<double>(cost) / kMillionths, static_cast<double>(left) / kMillionths, budget);
  if (!end_s) return refuse(what, 0);
  const int64_t wait_s = std::max<int64_t>(*end_s - UnixSeconds(now), 1);
  return refuse(fmt::format("{}; it begins anew in {} s", what, wait_s), wait_s);
}

}  // namespace autoglm::guard
