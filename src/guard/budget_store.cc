#include "guard/budget_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <tuple>

namespace autoglm::guard {
namespace {

constexpr std::chrono::milliseconds kBusyTimeout{2000};
constexpr int64_t kApplicationId = 0x61676231;  // "agb1"
constexpr int64_t kSchemaVersion = 1;

tl::unexpected<Error> FailFor(const std::filesystem::path& path, ErrorCode code, std::string_view what) {
  return Fail(code, fmt::format("{}: {}", path.string(), what));
}

// SQLite takes an empty file for an empty database.
Status CreateFile(const std::filesystem::path& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd >= 0) {
    (void)close(fd);
    return {};
  }
  if (errno == EEXIST) return {};
  return FailFor(path, ErrorCode::kIo, fmt::format("cannot create it: {}", std::generic_category().message(errno)));
}

// Two processes that come at the same time find the second time what the first has made.
Status Prepare(SqliteDatabase& database) {
  AUTOGLM_TRY_VOID(database.Execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"));
  AUTOGLM_TRY_VOID(database.Execute(
      fmt::format("BEGIN IMMEDIATE;"
                  "CREATE TABLE IF NOT EXISTS budgets (subject TEXT NOT NULL, period TEXT NOT NULL, begin_s INTEGER NOT NULL,"
                  "  used INTEGER NOT NULL, PRIMARY KEY (subject, period, begin_s)) STRICT, WITHOUT ROWID;"
                  "PRAGMA application_id = {}; PRAGMA user_version = {}; COMMIT;",
                  kApplicationId, kSchemaVersion)));
  return {};
}

Status CheckFormat(SqliteDatabase& database) {
  AUTOGLM_TRY(const int64_t application, database.QueryInteger("PRAGMA application_id"));
  AUTOGLM_TRY(const int64_t version, database.QueryInteger("PRAGMA user_version"));
  AUTOGLM_TRY(const int64_t num_tables, database.QueryInteger("SELECT count(*) FROM sqlite_schema"));
  if (application == 0 && num_tables == 0) return Prepare(database);
  if (application != kApplicationId) return FailFor(database.path(), ErrorCode::kCorruptFile, "is not a database of budgets");
  if (version == kSchemaVersion) return {};
  return FailFor(database.path(), ErrorCode::kUnsupported,
                 fmt::format("has format {}, and this version reads format {}", version, kSchemaVersion));
}

}  // namespace

Result<BudgetStore> BudgetStore::Open(const std::filesystem::path& path) {
  AUTOGLM_TRY_VOID(CreateFile(path));
  AUTOGLM_TRY(SqliteDatabase database, SqliteDatabase::Open(path, kBusyTimeout));
  AUTOGLM_TRY_VOID(CheckFormat(database));
  return BudgetStore(std::move(database));
}

Result<std::vector<BudgetRow>> BudgetStore::LoadSince(int64_t since_s) {
  AUTOGLM_TRY(SqliteStatement forget, database_.Prepare("DELETE FROM budgets WHERE period <> 'total' AND begin_s < ?"));
  AUTOGLM_TRY_VOID(forget.Bind(1, since_s).Step());
  AUTOGLM_TRY(SqliteStatement select, database_.Prepare("SELECT subject, period, begin_s, used FROM budgets LIMIT ?"));
  select.Bind(1, kMaxBudgets + 1);
  std::vector<BudgetRow> rows;
  while (true) {
    AUTOGLM_TRY(const bool has_row, select.Step());
    if (!has_row) return rows;
    if (std::ssize(rows) == kMaxBudgets) {
      return FailFor(database_.path(), ErrorCode::kResourceExhausted, fmt::format("holds more than {} budgets", kMaxBudgets));
    }
    const Result<BudgetPeriod> period = ParseBudgetPeriod(select.Text(1));
    if (!period) return FailFor(database_.path(), ErrorCode::kCorruptFile, period.error().message);
    rows.push_back({.subject = select.Text(0), .period = *period, .begin_s = select.Integer(2), .used = select.Integer(3)});
  }
}

Status BudgetStore::Add(std::span<const BudgetRow> rows) {
  AUTOGLM_TRY_VOID(database_.Execute("BEGIN IMMEDIATE"));
  const Status added = AddAll(rows);
  const Status ended = database_.Execute(added ? "COMMIT" : "ROLLBACK");
  if (added && !ended) {
    // SQLite may have ended the transaction itself: the failed commit is the error to report.
    std::ignore = database_.Execute("ROLLBACK");
  }
  return added ? ended : added;
}

Status BudgetStore::AddAll(std::span<const BudgetRow> rows) {
  for (const BudgetRow& row : rows) {
    AUTOGLM_TRY(SqliteStatement upsert, database_.Prepare("INSERT INTO budgets VALUES (?, ?, ?, ?) "
                                                          "ON CONFLICT DO UPDATE SET used = used + excluded.used"));
    upsert.Bind(1, std::string_view(row.subject)).Bind(2, BudgetPeriodName(row.period)).Bind(3, row.begin_s).Bind(4, row.used);
    AUTOGLM_TRY_VOID(upsert.Step());
  }
  return {};
}

}  // namespace autoglm::guard
