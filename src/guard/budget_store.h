#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "auth/policy.h"
#include "auth/sqlite.h"
#include "base/result.h"

namespace autoglm::guard {

// What one budget has used in one period, in millionths.
struct BudgetRow {
  std::string subject;
  BudgetPeriod period = BudgetPeriod::kMonth;
  int64_t begin_s = 0;
  int64_t used = 0;
};

// Rows of the most budgets one process knows at a time.
inline constexpr int64_t kMaxBudgets = 250'000;

// A SQLite database (WAL) of what budgets have used. One thread at a time.
// Errors: those of SqliteDatabase; kCorruptFile for what is no database of budgets, kUnsupported for a newer one,
// kResourceExhausted for more than kMaxBudgets.
class BudgetStore {
 public:
  // Created, with mode 0600, where it does not exist.
  static Result<BudgetStore> Open(const std::filesystem::path& path);

  // Of all periods that had begun no earlier than `since_s`, and the total ones. Forgets the others.
  Result<std::vector<BudgetRow>> LoadSince(int64_t since_s);
  // `used` of each row comes on top of what is there: all rows or none.
  Status Add(std::span<const BudgetRow> rows);

 private:
  explicit BudgetStore(SqliteDatabase database) : database_(std::move(database)) {}
  Status AddAll(std::span<const BudgetRow> rows);

  SqliteDatabase database_;
};

}  // namespace autoglm::guard
