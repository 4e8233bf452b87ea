#include "auth/sqlite.h"

#include <fmt/format.h>

namespace autoglm {
namespace {

ErrorCode CodeOf(int sqlite_code) {
  switch (sqlite_code & 0xff) {  // the primary code, without what extends it
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_ERROR:  // our statements are right, so the tables are not what they should be
      return ErrorCode::kCorruptFile;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorCode::kUnavailable;
    case SQLITE_FULL:
      return ErrorCode::kResourceExhausted;
    default:
      return ErrorCode::kIo;
  }
}

tl::unexpected<Error> FailWith(sqlite3* connection, int sqlite_code, const std::filesystem::path& path) {
  return Fail(CodeOf(sqlite_code), fmt::format("{}: {}", path.string(), sqlite3_errmsg(connection)));
}

}  // namespace

SqliteStatement& SqliteStatement::Bind(int parameter, int64_t value) {
  sqlite3_bind_int64(statement_.get(), parameter, value);
  return *this;
}

SqliteStatement& SqliteStatement::Bind(int parameter, std::string_view text) {
  sqlite3_bind_text64(statement_.get(), parameter, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

SqliteStatement& SqliteStatement::Bind(int parameter, std::span<const uint8_t> blob) {
  sqlite3_bind_blob64(statement_.get(), parameter, blob.data(), blob.size(), SQLITE_TRANSIENT);
  return *this;
}

Result<bool> SqliteStatement::Step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return FailWith(sqlite3_db_handle(statement_.get()), code, path_);
}

int64_t SqliteStatement::Integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }

std::string SqliteStatement::Text(int column) const {
  const void* const bytes = sqlite3_column_blob(statement_.get(), column);
  const int num_bytes = sqlite3_column_bytes(statement_.get(), column);
  return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), static_cast<size_t>(num_bytes));
}

bool SqliteStatement::IsNull(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }

Result<SqliteDatabase> SqliteDatabase::Open(const std::filesystem::path& path, std::chrono::milliseconds busy_timeout) {
  SqliteDatabase database(path);
  sqlite3* connection = nullptr;
  // Our own locks see to it that one thread uses a connection at a time.
  const int code = sqlite3_open_v2(path.c_str(), &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  database.connection_.reset(connection);
  if (code != SQLITE_OK) return FailWith(connection, code, path);
  sqlite3_busy_timeout(connection, static_cast<int>(busy_timeout.count()));
  return database;
}

Status SqliteDatabase::Execute(const std::string& sql) {
  const int code = sqlite3_exec(connection_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return FailWith(connection_.get(), code, path_);
  return {};
}

Result<SqliteStatement> SqliteDatabase::Prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v2(connection_.get(), sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
  if (code != SQLITE_OK) return FailWith(connection_.get(), code, path_);
  return SqliteStatement(statement, path_);
}

Result<int64_t> SqliteDatabase::QueryInteger(std::string_view sql) {
  AUTOGLM_TRY(SqliteStatement statement, Prepare(sql));
  AUTOGLM_TRY(const bool has_row, statement.Step());
  return has_row ? statement.Integer(0) : 0;
}

}  // namespace autoglm
