#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/policy.h"
#include "auth/secret_hash.h"
#include "auth/sqlite.h"
#include "auth/wall_time.h"
#include "base/result.h"

namespace autoglm {

struct NewKey {
  std::string name;
  Policy policy;
  std::optional<WallTime> expires_at;
};

struct CreatedKey {
  std::string id;
  std::string text;  // nowhere else, and never again
};

struct KeyRecord {
  std::string id;
  std::string name;
  std::string last_four;  // of the key's characters, to recognise it
  KeyHash sha256{};
  Policy policy;
  WallTime created_at;
  std::optional<WallTime> expires_at;
  std::optional<WallTime> revoked_at;
};

inline constexpr int64_t kMaxKeys = 100'000;

// The keys of a database file: SQLite in WAL mode, so that commands and servers may have it open together. What is kept of a key
// is its SHA-256, its last four characters and its policy, with times in whole seconds; beside them, one secret for tenants'
// names.
//
// One thread at a time. Errors: those of SqliteDatabase; kNotFound for a missing file, kPermissionDenied for a file that other
// users may open, kCorruptFile for what is no key database, kUnsupported for one of a newer version.
class KeyStore {
 public:
  static Result<KeyStore> Open(const std::filesystem::path& path);
  // A new file (mode 0600, in folders of mode 0700 where those are new) appears whole or not at all.
  static Result<KeyStore> OpenOrCreate(const std::filesystem::path& path);

  // Errors: kInvalidArgument for a bad name or policy, and for the name of a key that is not revoked; kResourceExhausted beyond
  // kMaxKeys.
  Result<CreatedKey> Create(const NewKey& key, WallTime now);
  // The oldest first.
  Result<std::vector<KeyRecord>> List();
  // By id, or by the name of a key that is not revoked. A key that is revoked keeps its time. Errors: kNotFound.
  Result<KeyRecord> Revoke(std::string_view id_or_name, WallTime now);

  const TenantSecret& tenant_secret() const { return tenant_secret_; }
  // Another number whenever another connection has changed something.
  Result<int64_t> DataVersion() { return database_.QueryInteger("PRAGMA data_version"); }

 private:
  KeyStore(SqliteDatabase database, const TenantSecret& secret) : database_(std::move(database)), tenant_secret_(secret) {}

  SqliteDatabase database_;
  TenantSecret tenant_secret_;
};

}  // namespace autoglm
