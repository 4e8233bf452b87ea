#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <unordered_map>

#include "auth/rate_limiter.h"
#include "auth/wall_time.h"
#include "base/periodic_thread.h"
#include "base/result.h"
#include "guard/budget_account.h"
#include "guard/budget_store.h"

namespace autoglm::guard {

// A part of a budget that is set aside for one request. Destroyed, it gives the part back, but for what was settled. May
// outlive its ledger. Any thread, one at a time.
class BudgetHold {
 public:
  BudgetHold() = default;  // of no budget
  BudgetHold(BudgetHold&&) noexcept = default;
  BudgetHold& operator=(BudgetHold&& other) noexcept;
  ~BudgetHold() { Settle(0); }

  // What was used of it, in millionths; more than what was set aside counts as well. The first call is the one that counts.
  void Settle(int64_t cost);

 private:
  friend class BudgetLedger;
  struct Book;
  struct Entry;
  BudgetHold(std::shared_ptr<Book> book, std::shared_ptr<Entry> entry, int64_t held)
      : book_(std::move(book)), entry_(std::move(entry)), held_(held) {}

  std::shared_ptr<Book> book_;  // nullptr: none, or settled
  std::shared_ptr<Entry> entry_;
  int64_t held_ = 0;
};

// What budgets have used, and what running requests hold of them. Any thread; nothing here waits for the disk but Open, Flush
// and the destructor: what was used reaches the database within a second, through a thread of its own. Only a process that is
// killed loses more than nothing.
class BudgetLedger {
 public:
  // `database` is created where it does not exist; empty: there is none. Errors: as BudgetStore.
  static Result<std::unique_ptr<BudgetLedger>> Open(
      const std::filesystem::path& database, WallTime now, std::function<void(const Error&)> on_problem = [](const Error&) {});
  ~BudgetLedger();

  // Sets `cost` aside, cut to the limit; never more than the limit is used and held, but for one request that may cost more
  // than a whole budget and is the only one. What costs nothing always passes. Refusals: BudgetAccount::Refuse, and one where
  // kMaxBudgets are in use.
  tl::expected<BudgetHold, RateLimiter::Refusal> Reserve(const BudgetAccount& account, int64_t cost, WallTime now);

  // Whoever counts for several processes says that so much is used: less is not believed from then on.
  void RaiseUsed(const BudgetAccount& account, int64_t used, WallTime now);

  int64_t UsedOf(const BudgetAccount& account) const;
  // Writes what is not written yet. Errors: those of the database; it is kept for the next time then.
  Status Flush();

 private:
  using Book = BudgetHold::Book;
  using Entry = BudgetHold::Entry;

  explicit BudgetLedger(std::function<void(const Error&)> on_problem);
  Status Restore(const std::filesystem::path& database, WallTime now);
  std::shared_ptr<Entry> EntryOf(const BudgetAccount& account, WallTime now);  // with the book's mutex; nullptr: no room
  void ReportFlush();

  const std::shared_ptr<Book> book_;
  const std::function<void(const Error&)> on_problem_;
  std::mutex store_mutex_;
  std::optional<BudgetStore> store_;
  std::string last_problem_;
  std::optional<PeriodicThread> writer_;
};

}  // namespace autoglm::guard
