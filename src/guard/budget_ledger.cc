#include "guard/budget_ledger.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace autoglm::guard {

struct BudgetHold::Entry {
  BudgetAccount account;
  int64_t used = 0;
  int64_t held = 0;
  int64_t unwritten = 0;  // part of used
};

struct BudgetHold::Book {
  mutable std::mutex mutex;                                         // for all below, entries included
  std::unordered_map<std::string, std::shared_ptr<Entry>> entries;  // by the account's Id
  int64_t next_forgetting_s = 0;
};

namespace {

constexpr std::chrono::milliseconds kWriteInterval{1000};
constexpr int64_t kForgetIntervalS = 60;
// The longest period: a row that began earlier is over.
constexpr int64_t kLongestPeriodS = int64_t{31} * 86'400;

int64_t UnixSeconds(WallTime time) { return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count(); }

}  // namespace

BudgetHold& BudgetHold::operator=(BudgetHold&& other) noexcept {
  if (this == &other) return *this;
  Settle(0);
  book_ = std::move(other.book_);
  entry_ = std::move(other.entry_);
  held_ = other.held_;
  return *this;
}

void BudgetHold::Settle(int64_t cost) {
  const std::shared_ptr<Book> book = std::exchange(book_, nullptr);
  if (book == nullptr) return;
  const std::lock_guard lock(book->mutex);
  entry_->held -= held_;
  entry_->used += cost;
  entry_->unwritten += cost;
}

BudgetLedger::BudgetLedger(std::function<void(const Error&)> on_problem)
    : book_(std::make_shared<Book>()), on_problem_(std::move(on_problem)) {}

Result<std::unique_ptr<BudgetLedger>> BudgetLedger::Open(const std::filesystem::path& database, WallTime now,
                                                         std::function<void(const Error&)> on_problem) {
  std::unique_ptr<BudgetLedger> ledger(new BudgetLedger(std::move(on_problem)));
  if (database.empty()) return ledger;
  AUTOGLM_TRY_VOID(ledger->Restore(database, now));
  ledger->writer_.emplace(kWriteInterval, [raw = ledger.get()] { raw->ReportFlush(); });
  return ledger;
}

BudgetLedger::~BudgetLedger() {
  if (!writer_) return;
  writer_->Stop();
  ReportFlush();
}

Status BudgetLedger::Restore(const std::filesystem::path& database, WallTime now) {
  AUTOGLM_TRY(store_, BudgetStore::Open(database));
  AUTOGLM_TRY(const std::vector<BudgetRow> rows, store_->LoadSince(UnixSeconds(now) - kLongestPeriodS));
  for (const BudgetRow& row : rows) {
    const BudgetAccount account{.subject = row.subject, .period = row.period, .begin_s = row.begin_s};
    book_->entries.emplace(account.Id(), std::make_shared<Entry>(Entry{.account = account, .used = row.used}));
  }
  return {};
}

tl::expected<BudgetHold, RateLimiter::Refusal> BudgetLedger::Reserve(const BudgetAccount& account, int64_t cost, WallTime now) {
  const int64_t held = std::min(cost, account.limit);
  const std::lock_guard lock(book_->mutex);
  std::shared_ptr<Entry> entry = EntryOf(account, now);
  if (entry == nullptr) {
    return tl::unexpected(RateLimiter::Refusal{
        .error = {.code = ErrorCode::kResourceExhausted, .message = "too many budgets are in use; try again in 60 s"},
        .retry_after_seconds = kForgetIntervalS});
  }
  if (held > 0 && entry->used + entry->held + held > account.limit) {
    return tl::unexpected(account.Refuse(held, entry->used, entry->held, now));
  }
  entry->held += held;
  return BudgetHold(book_, std::move(entry), held);
}

void BudgetLedger::RaiseUsed(const BudgetAccount& account, int64_t used, WallTime now) {
  const std::lock_guard lock(book_->mutex);
  const std::shared_ptr<Entry> entry = EntryOf(account, now);
  if (entry == nullptr || used <= entry->used) return;
  entry->unwritten += used - entry->used;
  entry->used = used;
}

int64_t BudgetLedger::UsedOf(const BudgetAccount& account) const {
  const std::lock_guard lock(book_->mutex);
  const auto found = book_->entries.find(account.Id());
  return found == book_->entries.end() ? 0 : found->second->used;
}

std::shared_ptr<BudgetLedger::Entry> BudgetLedger::EntryOf(const BudgetAccount& account, WallTime now) {
  const int64_t now_s = UnixSeconds(now);
  if (now_s >= book_->next_forgetting_s) {
    book_->next_forgetting_s = now_s + kForgetIntervalS;
    // A restored entry does not know its end, but none lasts longer than the longest.
    std::erase_if(book_->entries, [now_s](const auto& item) {
      const Entry& entry = *item.second;
      const bool is_over = entry.account.period != BudgetPeriod::kTotal && entry.account.begin_s + kLongestPeriodS <= now_s;
      return is_over && entry.unwritten == 0 && entry.held == 0;
    });
  }
  const auto [place, is_new] = book_->entries.try_emplace(account.Id());
  if (!is_new) return place->second;
  if (std::ssize(book_->entries) > kMaxBudgets) {
    book_->entries.erase(place);
    return nullptr;
  }
  place->second = std::make_shared<Entry>(Entry{.account = account});
  return place->second;
}

Status BudgetLedger::Flush() {
  const std::lock_guard store_lock(store_mutex_);
  if (!store_) return {};
  std::vector<std::pair<std::shared_ptr<Entry>, int64_t>> written;
  std::vector<BudgetRow> rows;
  {
    const std::lock_guard lock(book_->mutex);
    for (const auto& [id, entry] : book_->entries) {
      if (entry->unwritten == 0) continue;
      const BudgetAccount& account = entry->account;
      rows.push_back(
          {.subject = account.subject, .period = account.period, .begin_s = account.begin_s, .used = entry->unwritten});
      written.emplace_back(entry, entry->unwritten);
    }
  }
  if (rows.empty()) return {};
  AUTOGLM_TRY_VOID(store_->Add(rows));
  const std::lock_guard lock(book_->mutex);
  for (const auto& [entry, amount] : written) entry->unwritten -= amount;
  return {};
}

void BudgetLedger::ReportFlush() {
  const Status status = Flush();
  const std::string problem = status ? "" : status.error().message;
  if (std::exchange(last_problem_, problem) != problem && !status) on_problem_(status.error());
}

}  // namespace autoglm::guard
