#include "auth/key_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace autoglm {
namespace {

constexpr std::chrono::milliseconds kBusyTimeout{2000};
constexpr int64_t kSchemaVersion = 1;
constexpr int64_t kApplicationId = 0x61676b31;  // "agk1"
constexpr size_t kShownCharacters = 4;

constexpr std::string_view kSchema =
    "PRAGMA journal_mode = WAL;"
    "BEGIN;"
    "CREATE TABLE keys (id TEXT PRIMARY KEY, name TEXT NOT NULL, sha256 BLOB NOT NULL UNIQUE, last_four TEXT NOT NULL,"
    "  policy TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER, revoked_at INTEGER) STRICT;"
    "CREATE UNIQUE INDEX usable_names ON keys (name) WHERE revoked_at IS NULL;"
    "CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;";

tl::unexpected<Error> FailWithErrno(std::string_view action, const std::filesystem::path& path, int error) {
  const ErrorCode code = error == ENOENT   ? ErrorCode::kNotFound
                         : error == ENOSPC ? ErrorCode::kResourceExhausted
                                           : ErrorCode::kIo;
  return Fail(code, fmt::format("cannot {} {}: {}", action, path.string(), std::generic_category().message(error)));
}

tl::unexpected<Error> FailCorrupt(const std::filesystem::path& path, std::string_view what) {
  return Fail(ErrorCode::kCorruptFile, fmt::format("{}: {}", path.string(), what));
}

Status MakePrivateFolders(const std::filesystem::path& folder) {
  std::error_code error;
  if (folder.empty() || std::filesystem::is_directory(folder, error)) return {};
  AUTOGLM_TRY_VOID(MakePrivateFolders(folder.parent_path()));
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return FailWithErrno("create the folder", folder, errno);
  return {};
}

// By its name: opening and closing the file here would end the locks that other connections of this process hold.
Status CheckFile(const std::filesystem::path& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return FailWithErrno("open", path, errno);
  if (!S_ISREG(info.st_mode)) return Fail(ErrorCode::kIo, fmt::format("cannot open {}: it is not a file", path.string()));
  if (access(path.c_str(), R_OK | W_OK) != 0) return FailWithErrno("open", path, errno);
  if ((info.st_mode & 077) == 0) return {};
  return Fail(ErrorCode::kPermissionDenied,
              fmt::format("{} is open to other users (mode {:o}); chmod 600 it", path.string(), info.st_mode & 0777));
}

Status WriteSchema(SqliteDatabase& database) {
  AUTOGLM_TRY_VOID(database.Execute(std::string(kSchema)));
  const TenantSecret secret = NewTenantSecret();
  AUTOGLM_TRY(SqliteStatement insert, database.Prepare("INSERT INTO secrets VALUES ('tenants', ?)"));
  AUTOGLM_TRY_VOID(insert.Bind(1, secret).Step());
  return database.Execute(
      fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}; COMMIT;", kApplicationId, kSchemaVersion));
}

// Under a name of its own first: others see a whole database or none, and of two who create it at once one wins.
Status CreateFile(const std::filesystem::path& path) {
  AUTOGLM_TRY_VOID(MakePrivateFolders(path.parent_path()));
  const std::filesystem::path temporary = fmt::format("{}.{}.new", path.string(), NewKeyId());
  const int fd = open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return FailWithErrno("create", path, errno);
  (void)close(fd);
  // Closed at the end of the expression, which also removes SQLite's files beside it.
  Status status =
      SqliteDatabase::Open(temporary, kBusyTimeout).and_then([](SqliteDatabase database) { return WriteSchema(database); });
  if (status && link(temporary.c_str(), path.c_str()) != 0 && errno != EEXIST) status = FailWithErrno("create", path, errno);
  (void)unlink(temporary.c_str());
  return status;
}

Status CheckFormat(SqliteDatabase& database) {
  AUTOGLM_TRY(const int64_t application, database.QueryInteger("PRAGMA application_id"));
  if (application != kApplicationId) return FailCorrupt(database.path(), "is not a database of keys");
  AUTOGLM_TRY(const int64_t version, database.QueryInteger("PRAGMA user_version"));
  if (version != kSchemaVersion) {
    return Fail(ErrorCode::kUnsupported, fmt::format("{}: has format {}, and this version reads format {}",
                                                     database.path().string(), version, kSchemaVersion));
  }
  AUTOGLM_TRY(SqliteStatement check, database.Prepare("PRAGMA quick_check(1)"));
  AUTOGLM_TRY(const bool has_row, check.Step());
  if (!has_row || check.Text(0) != "ok") return FailCorrupt(database.path(), "the database is damaged");
  return {};
}

Result<TenantSecret> ReadTenantSecret(SqliteDatabase& database) {
  AUTOGLM_TRY(SqliteStatement select, database.Prepare("SELECT value FROM secrets WHERE name = 'tenants'"));
  AUTOGLM_TRY(const bool has_row, select.Step());
  TenantSecret secret{};
  const std::string value = has_row ? select.Text(0) : std::string();
  if (value.size() != secret.size()) return FailCorrupt(database.path(), "the secret for tenants is missing");
  std::ranges::copy(value, secret.begin());
  return secret;
}

WallTime FromSeconds(int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }

int64_t ToSeconds(WallTime time) { return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count(); }

Result<KeyRecord> ReadRecord(const SqliteStatement& row, const std::filesystem::path& path) {
  KeyRecord record{.id = row.Text(0), .name = row.Text(1), .last_four = row.Text(3), .created_at = FromSeconds(row.Integer(5))};
  const std::string hash = row.Text(2);
  if (hash.size() != record.sha256.size()) return FailCorrupt(path, fmt::format("the hash of {} is damaged", record.id));
  std::ranges::copy(hash, record.sha256.begin());
  const Result<Policy> policy = ParseJson(row.Text(4)).and_then(PolicyFromJson);
  if (!policy) return FailCorrupt(path, fmt::format("the policy of {}: {}", record.id, policy.error().message));
  record.policy = *policy;
  if (!row.IsNull(6)) record.expires_at = FromSeconds(row.Integer(6));
  if (!row.IsNull(7)) record.revoked_at = FromSeconds(row.Integer(7));
  return record;
}

// The one that a command means.
const KeyRecord* FindKey(const std::vector<KeyRecord>& records, std::string_view id_or_name) {
  auto found = std::ranges::find(records, id_or_name, &KeyRecord::id);
  if (found == records.end()) {
    found = std::ranges::find_if(
        records, [&](const KeyRecord& record) { return record.name == id_or_name && !record.revoked_at.has_value(); });
  }
  return found == records.end() ? nullptr : &*found;
}

}  // namespace

Result<KeyStore> KeyStore::Open(const std::filesystem::path& path) {
  AUTOGLM_TRY_VOID(CheckFile(path));
  AUTOGLM_TRY(SqliteDatabase database, SqliteDatabase::Open(path, kBusyTimeout));
  AUTOGLM_TRY_VOID(CheckFormat(database));
  AUTOGLM_TRY(const TenantSecret secret, ReadTenantSecret(database));
  return KeyStore(std::move(database), secret);
}

Result<KeyStore> KeyStore::OpenOrCreate(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error) && !error) AUTOGLM_TRY_VOID(CreateFile(path));
  return Open(path);
}

Result<CreatedKey> KeyStore::Create(const NewKey& key, WallTime now) {
  AUTOGLM_TRY_VOID(CheckAuthName("name", key.name));
  AUTOGLM_TRY_VOID(CheckPolicy(key.policy));
  AUTOGLM_TRY(const std::vector<KeyRecord> records, List());
  if (std::ssize(records) >= kMaxKeys) {
    return Fail(ErrorCode::kResourceExhausted,
                fmt::format("{} holds {} keys, and no more fit", database_.path().string(), kMaxKeys));
  }
  if (const KeyRecord* const other = FindKey(records, key.name)) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{} is already called '{}'; revoke it first, or take another name", other->id, key.name));
  }

  CreatedKey created{.id = NewKeyId(), .text = NewKeyText()};
  AUTOGLM_TRY(SqliteStatement insert, database_.Prepare("INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, NULL)"));
  insert.Bind(1, std::string_view(created.id))
      .Bind(2, std::string_view(key.name))
      .Bind(3, Sha256Of(created.text))
      .Bind(4, std::string_view(created.text).substr(created.text.size() - kShownCharacters))
      .Bind(5, std::string_view(DumpJson(PolicyToJson(key.policy))))
      .Bind(6, ToSeconds(now));
  if (key.expires_at) insert.Bind(7, ToSeconds(*key.expires_at));
  AUTOGLM_TRY_VOID(insert.Step());
  return created;
}

Result<std::vector<KeyRecord>> KeyStore::List() {
  AUTOGLM_TRY(SqliteStatement select, database_.Prepare("SELECT id, name, sha256, last_four, policy, created_at, expires_at, "
                                                        "revoked_at FROM keys ORDER BY created_at, rowid LIMIT ?"));
  select.Bind(1, kMaxKeys + 1);
  std::vector<KeyRecord> records;
  while (true) {
    AUTOGLM_TRY(const bool has_row, select.Step());
    if (!has_row) return records;
    AUTOGLM_TRY(KeyRecord record, ReadRecord(select, database_.path()));
    records.push_back(std::move(record));
  }
}

Result<KeyRecord> KeyStore::Revoke(std::string_view id_or_name, WallTime now) {
  AUTOGLM_TRY(const std::vector<KeyRecord> records, List());
  const KeyRecord* const found = FindKey(records, id_or_name);
  if (found == nullptr) {
    return Fail(ErrorCode::kNotFound, fmt::format("{} has no usable key called '{}'", database_.path().string(), id_or_name));
  }
  KeyRecord revoked = *found;
  if (revoked.revoked_at) return revoked;
  AUTOGLM_TRY(SqliteStatement update, database_.Prepare("UPDATE keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL"));
  AUTOGLM_TRY_VOID(update.Bind(1, ToSeconds(now)).Bind(2, std::string_view(revoked.id)).Step());
  revoked.revoked_at = FromSeconds(ToSeconds(now));
  return revoked;
}

}  // namespace autoglm
