#include "guard/budget_account.h"

#include <gtest/gtest.h>

#include <chrono>

namespace autoglm::guard {
namespace {

using namespace std::chrono_literals;

constexpr WallTime kNow = std::chrono::sys_days(std::chrono::year(2026) / 12 / 31) + 23h;

BudgetAccount AccountOf(Policy policy) { return *BudgetAccount::Of({.key_id = "key-1", .policy = std::move(policy)}, kNow); }

TEST(BudgetAccount, PolicyWithoutABudget_HasNone) {
  EXPECT_FALSE(BudgetAccount::Of({.policy = {.requests_per_minute = 1}}, kNow));
}

TEST(BudgetAccount, Periods_EndAtMidnightUtc) {
  const BudgetAccount day = AccountOf({.budget = 1, .budget_period = BudgetPeriod::kDay});
  EXPECT_EQ(*day.end_s - day.begin_s, 86'400);
  EXPECT_EQ(*day.end_s, std::chrono::floor<std::chrono::seconds>((kNow + 1h).time_since_epoch()).count());
  const BudgetAccount month = AccountOf({.budget = 1});
  EXPECT_EQ(*month.end_s - month.begin_s, 31 * 86'400);
  EXPECT_EQ(month.end_s, day.end_s) << "of the year, too";
  EXPECT_FALSE(AccountOf({.budget = 1, .budget_period = BudgetPeriod::kTotal}).end_s);
}

TEST(BudgetAccount, Ids_DifferByOwnerAndPeriod) {
  EXPECT_EQ(AccountOf({.budget = 1, .budget_period = BudgetPeriod::kTotal}).Id(), "total 0 key:key-1");
  EXPECT_EQ(
      AccountOf({.tenant = "acme", .budget = 1, .budget_period = BudgetPeriod::kTotal, .budget_of = BudgetOwner::kTenant}).Id(),
      "total 0 tenant:acme");
  EXPECT_NE(AccountOf({.budget = 1}).Id(), AccountOf({.budget = 1, .budget_period = BudgetPeriod::kDay}).Id());
}

TEST(BudgetAccount, Refusal_SaysWhatHelps) {
  const BudgetAccount month = AccountOf({.budget = 10});
  const RateLimiter::Refusal used_up = month.Refuse(1, 10'000'000, 0, kNow);
  EXPECT_EQ(used_up.error.code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(used_up.error.message, "the budget of 10 a month is used up; it begins anew in 3600 s");
  EXPECT_EQ(used_up.retry_after_seconds, 3600);
  EXPECT_EQ(
      month.Refuse(1'200'000, 9'000'000, 500'000, kNow).error.message,
      "the request may cost 1.2, and 0.5 of the budget of 10 a month are left: ask for fewer tokens; it begins anew in 3600 s");
  const RateLimiter::Refusal busy = month.Refuse(1'000'000, 9'000'000, 500'000, kNow);
  EXPECT_EQ(busy.error.message, "requests that run may use the rest of the budget of 10 a month; try again in 1 s");
  EXPECT_EQ(busy.retry_after_seconds, 1);
  const RateLimiter::Refusal total =
      AccountOf({.budget = 10, .budget_period = BudgetPeriod::kTotal}).Refuse(1, 10'000'000, 0, kNow);
  EXPECT_EQ(total.error.message, "the budget of 10 is used up");
  EXPECT_EQ(total.retry_after_seconds, 0);
}

}  // namespace
}  // namespace autoglm::guard
