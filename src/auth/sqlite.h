#pragma once

#include <sqlite3.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace autoglm {

// One statement with its values and rows. Refers to its database, which must outlive it.
class SqliteStatement {
 public:
  // Parameters count from 1.
  SqliteStatement& Bind(int parameter, int64_t value);
  SqliteStatement& Bind(int parameter, std::string_view text);
  SqliteStatement& Bind(int parameter, std::span<const uint8_t> blob);

  // True: there is a row to read. Errors: as SqliteDatabase.
  Result<bool> Step();

  // Of the row, columns count from 0. What is there is converted as SQLite converts.
  int64_t Integer(int column) const;
  std::string Text(int column) const;  // or the bytes of a blob
  bool IsNull(int column) const;

 private:
  friend class SqliteDatabase;
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  SqliteStatement(sqlite3_stmt* statement, std::filesystem::path path) : statement_(statement), path_(std::move(path)) {}

  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
  std::filesystem::path path_;
};

// A connection to a database file that exists. One thread at a time; no connection may cross a fork.
// Errors: kCorruptFile for what is no database or a broken one, kUnavailable where others hold it for longer than the time-out,
// kResourceExhausted for a full disk, kIo for everything else the system refuses; each with the path.
class SqliteDatabase {
 public:
  static Result<SqliteDatabase> Open(const std::filesystem::path& path, std::chrono::milliseconds busy_timeout);

  // Statements without values, whose rows do not matter.
  Status Execute(const std::string& sql);
  Result<SqliteStatement> Prepare(std::string_view sql);
  // The first column of the only row.
  Result<int64_t> QueryInteger(std::string_view sql);

  const std::filesystem::path& path() const { return path_; }

 private:
  struct Closer {
    void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
  };
  explicit SqliteDatabase(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;
  std::unique_ptr<sqlite3, Closer> connection_;
};

}  // namespace autoglm
