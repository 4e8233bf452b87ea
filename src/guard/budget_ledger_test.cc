#include "guard/budget_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>
#include <vector>

#include "support/temporary_folder.h"

namespace autoglm::guard {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class BudgetLedgerTest : public testing::Test {
 protected:
  BudgetLedgerTest() { Open({}); }

  void Open(const std::filesystem::path& database) {
    ledger_.reset();  // before another one looks at its file
    Result<std::unique_ptr<BudgetLedger>> ledger = BudgetLedger::Open(database, now_);
    ASSERT_TRUE(ledger) << ledger.error().message;
    ledger_ = *std::move(ledger);
  }
  // Of 100 units, in whole units from here on.
  BudgetAccount Account(BudgetPeriod period = BudgetPeriod::kMonth, const std::string& key = "key-1") const {
    return *BudgetAccount::Of({.key_id = key, .policy = {.budget = 100, .budget_period = period}}, now_);
  }
  BudgetHold Pass(const BudgetAccount& account, int64_t cost) {
    auto hold = ledger_->Reserve(account, cost * kUnit, now_);
    EXPECT_TRUE(hold) << hold.error().error.message;
    return hold ? *std::move(hold) : BudgetHold();
  }
  bool Refuses(const BudgetAccount& account, int64_t cost) { return !ledger_->Reserve(account, cost * kUnit, now_); }
  int64_t Used(const BudgetAccount& account) const { return ledger_->UsedOf(account) / kUnit; }

  static constexpr int64_t kUnit = 1'000'000;
  const TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_.path() / "budgets.db";
  WallTime now_ = std::chrono::sys_days(std::chrono::year(2026) / 11 / 30) + 12h;
  std::unique_ptr<BudgetLedger> ledger_;
};

TEST_F(BudgetLedgerTest, Hold_CountsWholeUntilItIsSettled) {
  BudgetHold first = Pass(Account(), 60);
  EXPECT_TRUE(Refuses(Account(), 50));
  first.Settle(10 * kUnit);
  EXPECT_EQ(Used(Account()), 10);
  const BudgetHold second = Pass(Account(), 90);
  EXPECT_TRUE(Refuses(Account(), 1));
  first.Settle(50 * kUnit);
  EXPECT_EQ(Used(Account()), 10) << "only once";
}

TEST_F(BudgetLedgerTest, HoldThatIsDropped_IsGivenBack) {
  for (int i = 0; i < 10; ++i) Pass(Account(), 100);
  EXPECT_EQ(Used(Account()), 0);
  BudgetHold one = Pass(Account(), 40);
  BudgetHold other = Pass(Account(), 60);
  one = std::move(other);
  Pass(Account(), 40);
  EXPECT_TRUE(Refuses(Account(), 41));
}

TEST_F(BudgetLedgerTest, ReserveLargerThanTheBudget_PassesWhereNothingIsUsed) {
  BudgetHold hold = Pass(Account(), 100'000);
  EXPECT_TRUE(Refuses(Account(), 1));
  hold.Settle(1 * kUnit);
  EXPECT_TRUE(Refuses(Account(), 100'000));
  Pass(Account(), 99);
}

TEST_F(BudgetLedgerTest, WhatCostsNothing_AlwaysPasses) {
  Pass(Account(), 100).Settle(150 * kUnit);
  EXPECT_TRUE(Refuses(Account(), 1));
  Pass(Account(), 0);
}

TEST_F(BudgetLedgerTest, NextPeriod_BeginsAnewAndLateBillsBelongToTheOld) {
  const BudgetAccount november = Account();
  const BudgetAccount total = Account(BudgetPeriod::kTotal);
  Pass(total, 10).Settle(10 * kUnit);
  BudgetHold late = Pass(november, 100);
  now_ += 24h;
  Pass(Account(), 100);
  late.Settle(70 * kUnit);
  EXPECT_EQ(Used(november), 70);
  EXPECT_EQ(Used(Account()), 0);
  EXPECT_EQ(Used(Account(BudgetPeriod::kTotal)), 10);
}

TEST_F(BudgetLedgerTest, Restart_RemembersWhatWasUsedAndForgetsWhatWasHeld) {
  Open(path_);
  Pass(Account(), 50).Settle(30 * kUnit);
  Pass(Account(BudgetPeriod::kTotal), 50).Settle(7 * kUnit);
  const BudgetHold running = Pass(Account(), 70);
  Open(path_);
  EXPECT_EQ(Used(Account()), 30);
  EXPECT_EQ(Used(Account(BudgetPeriod::kTotal)), 7);
  Pass(Account(), 70).Settle(1 * kUnit);
  Open(path_);
  EXPECT_EQ(Used(Account()), 31) << "added, not replaced";
  EXPECT_EQ(std::filesystem::status(path_).permissions(), std::filesystem::perms(0600));
}

TEST_F(BudgetLedgerTest, KilledProcess_LosesNothingThatWasFlushed) {
  Open(path_);
  Pass(Account(), 50).Settle(30 * kUnit);
  ASSERT_TRUE(ledger_->Flush());
  BudgetStore other = *BudgetStore::Open(path_);
  const std::vector<BudgetRow> rows = *other.LoadSince(0);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].subject, "key:key-1");
  EXPECT_EQ(rows[0].used, 30 * kUnit);
}

TEST_F(BudgetLedgerTest, TwoProcesses_AddUpInOneDatabase) {
  Open(path_);
  const auto other = *BudgetLedger::Open(path_, now_);
  Pass(Account(), 50).Settle(30 * kUnit);
  other->Reserve(Account(), 20 * kUnit, now_)->Settle(20 * kUnit);
  ASSERT_TRUE(ledger_->Flush());
  ASSERT_TRUE(other->Flush());
  EXPECT_EQ((*BudgetStore::Open(path_)->LoadSince(0))[0].used, 50 * kUnit);
}

TEST_F(BudgetLedgerTest, PeriodsThatAreOver_AreForgottenAtTheStart) {
  Open(path_);
  Pass(Account(BudgetPeriod::kDay), 50).Settle(30 * kUnit);
  Pass(Account(BudgetPeriod::kTotal), 50).Settle(30 * kUnit);
  now_ += 24h * 40;
  Open(path_);
  EXPECT_EQ(BudgetStore::Open(path_)->LoadSince(0)->size(), 1u);
}

TEST_F(BudgetLedgerTest, RaiseUsed_NeverLowers) {
  ledger_->RaiseUsed(Account(), 80 * kUnit, now_);
  ledger_->RaiseUsed(Account(), 20 * kUnit, now_);
  EXPECT_EQ(Used(Account()), 80);
  EXPECT_TRUE(Refuses(Account(), 21));
}

TEST_F(BudgetLedgerTest, ForeignOrDamagedFile_IsNamed) {
  folder_.Write("other.db", std::string(4096, 'x'));
  EXPECT_THAT(BudgetLedger::Open(folder_.path() / "other.db", now_).error().message, HasSubstr("other.db"));
  EXPECT_EQ(BudgetLedger::Open(folder_.path() / "no" / "folder.db", now_).error().code, ErrorCode::kIo);
}

TEST_F(BudgetLedgerTest, SixtyFourThreads_NeverUseMoreThanTheBudget) {
  constexpr int kThreads = 64;
  constexpr int kTries = 200;
  constexpr int64_t kReserve = 7;
  const BudgetAccount account = *BudgetAccount::Of({.key_id = "key-1", .policy = {.budget = 20'000}}, now_);
  std::atomic<int64_t> used = 0;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTries; ++i) {
        auto hold = ledger_->Reserve(account, kReserve * kUnit, now_);
        if (!hold || i % 3 == 0) continue;
        std::this_thread::yield();
        const int64_t cost = (t + i) % (kReserve + 1);
        used += cost;
        hold->Settle(cost * kUnit);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(used.load(), 20'000);
  EXPECT_GT(used.load(), 10'000);
  EXPECT_EQ(Used(account), used.load());
  const int64_t left = 20'000 - used;
  EXPECT_TRUE(Refuses(account, left + 1));
  Pass(account, left);
}

}  // namespace
}  // namespace autoglm::guard
