#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "auth/auth_hooks.h"
#include "auth/key_store.h"
#include "auth/key_table.h"
#include "base/clock.h"
#include "base/file_stamp.h"
#include "base/result.h"

namespace autoglm {

// The keys of a database and of the configuration, no older than a second. The database may appear, change, be replaced and go
// while it is watched; where it cannot be read, what was read last stays.
class KeyWatcher {
 public:
  // Reads `database`, if it is given and exists. Errors: as KeyStore::Open.
  static Result<std::unique_ptr<KeyWatcher>> Create(std::optional<std::filesystem::path> database,
                                                    std::vector<ConfiguredKey> configured, const Clock& clock, AuthHooks hooks);

  // Any thread. Looks at the database where that was not done within the last second; other threads do not wait for that.
  std::shared_ptr<const KeyTable> Current();

 private:
  KeyWatcher(std::optional<std::filesystem::path> database, std::vector<ConfiguredKey> configured, const Clock& clock,
             AuthHooks hooks);

  Status Refresh();  // with refresh_mutex_
  void Publish(const TenantSecret& secret, std::span<const KeyRecord> records);

  const std::optional<std::filesystem::path> database_;
  const std::vector<ConfiguredKey> configured_;
  const Clock& clock_;
  const AuthHooks hooks_;
  std::atomic<TimePoint> next_look_{TimePoint::min()};

  std::mutex refresh_mutex_;
  std::optional<FileStamp> file_;  // that store_ has open
  std::optional<KeyStore> store_;
  std::optional<int64_t> version_;  // that the table shows
  std::string last_problem_;

  mutable std::mutex table_mutex_;
  std::shared_ptr<const KeyTable> table_;
};

}  // namespace autoglm
