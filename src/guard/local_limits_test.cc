#include "guard/local_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <utility>

namespace autoglm::guard {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class LocalLimitsTest : public testing::Test {
 protected:
  LocalLimitsTest() {
    clock_.Advance(1h);
    Create({});
  }
  void Create(UsageLimitOptions options) {
    limits_ = *LocalLimits::Create(options, clock_, {.wall_now = [this] { return wall_now_; }});
  }
  static Principal Key(Policy policy) { return {.key_id = "key-1", .policy = std::move(policy)}; }
  Granted Acquire(const Principal& key, UsageEstimate estimate = {}) {
    return std::move(*limits_->Acquire(key, estimate, loop_, [](const Granted&) { FAIL() << "it is answered at once"; }));
  }
  std::unique_ptr<Usage> Pass(const Principal& key, UsageEstimate estimate = {}) {
    Granted granted = Acquire(key, std::move(estimate));
    EXPECT_TRUE(granted) << granted.error().error.message;
    return granted ? *std::move(granted) : nullptr;
  }
  Refusal Refuse(const Principal& key, UsageEstimate estimate = {}) {
    Granted granted = Acquire(key, std::move(estimate));
    EXPECT_FALSE(granted);
    return granted ? Refusal() : std::move(granted).error();
  }

  http::EventLoop loop_;
  ManualClock clock_;
  WallTime wall_now_{1'800'000'000s};
  std::unique_ptr<LocalLimits> limits_;
};

TEST_F(LocalLimitsTest, WithoutLimits_EverythingPasses) {
  for (int i = 0; i < 100; ++i) Pass(Key({}), {.model = "m", .input_tokens = 1'000'000})->Settle(1'000'000, 5);
  EXPECT_TRUE(Pass(Key({}))->limits().Headers().empty());
}

TEST_F(LocalLimitsTest, InputAndOutput_CountAsTokensPerMinute) {
  const Principal key = Key({.tokens_per_minute = 600});
  std::unique_ptr<Usage> usage = Pass(key, {.input_tokens = 100, .max_output_tokens = 400});
  EXPECT_EQ(usage->limits().tokens.remaining, 100);
  EXPECT_EQ(Refuse(key, {.input_tokens = 300}).retry_after_seconds, 20);
  usage->Settle(100, 50);
  EXPECT_EQ(Pass(key)->limits().tokens.remaining, 450);
}

TEST_F(LocalLimitsTest, BrokenOffRequest_GivesEverythingBack) {
  const Principal key = Key({.tokens_per_minute = 600, .max_concurrent = 1, .budget = 600});
  for (int i = 0; i < 10; ++i) Pass(key, {.max_output_tokens = 600});
  std::unique_ptr<Usage> running = Pass(key, {.max_output_tokens = 600});
  running->Settle(1, 9);
  running.reset();
  EXPECT_EQ(Pass(key)->limits().tokens.remaining, 590);
}

TEST_F(LocalLimitsTest, Budget_IsInMoneyWhereThereArePrices) {
  Create({.prices = {{.model = "large", .input_per_million = 10, .output_per_million = 100}}});
  const Principal key = Key({.budget = 0.01});
  Pass(key, {.model = "large", .input_tokens = 100, .max_output_tokens = 80})->Settle(100, 10);
  EXPECT_THAT(Refuse(key, {.model = "large", .max_output_tokens = 81}).error.message,
              HasSubstr("may cost 0.0081, and 0.008 of the budget of 0.01 a month"));
  Pass(key, {.model = "large", .max_output_tokens = 80});
  Pass(key, {.model = "free", .max_output_tokens = 1'000'000});
}

TEST_F(LocalLimitsTest, TenantsBudget_IsUsedByAllItsKeys) {
  const Policy policy{.tenant = "acme", .budget = 100, .budget_of = BudgetOwner::kTenant};
  Pass({.key_id = "a", .policy = policy}, {.input_tokens = 90})->Settle(90, 0);
  Refuse({.key_id = "b", .policy = policy}, {.input_tokens = 20});
  Pass({.key_id = "c", .policy = {.budget = 100}}, {.input_tokens = 20});
}

TEST_F(LocalLimitsTest, Refusal_TakesNothing) {
  const Principal key = Key({.requests_per_minute = 2, .budget = 100});
  std::unique_ptr<Usage> running = Pass(key, {.input_tokens = 20});
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Refuse(key, {.input_tokens = 90}).error.message,
              "requests that run may use the rest of the budget of 100 a month; try again in 1 s");
  }
  EXPECT_EQ(Pass(key, {.input_tokens = 80})->limits().requests.remaining, 0);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Refuse(key, {.input_tokens = 80}).error.message,
              "the limit of 2 requests per minute is reached; try again in 30 s");
  }
  running.reset();
  clock_.Advance(30s);
  Pass(key, {.input_tokens = 100});
}

TEST_F(LocalLimitsTest, BudgetThatIsUsedUp_SaysWhenItBeginsAnew) {
  const Principal key = Key({.budget = 100, .budget_period = BudgetPeriod::kDay});
  Pass(key, {.input_tokens = 100})->Settle(100, 0);
  const Refusal refusal = Refuse(key, {.input_tokens = 1});
  EXPECT_EQ(refusal.error.code, ErrorCode::kResourceExhausted);
  wall_now_ += std::chrono::seconds(refusal.retry_after_seconds - 1);
  Refuse(key, {.input_tokens = 1});
  wall_now_ += 1s;
  Pass(key, {.input_tokens = 1});
}

}  // namespace
}  // namespace autoglm::guard
