#include "auth/key_watcher.h"

#include <utility>

namespace autoglm {
namespace {

constexpr std::chrono::seconds kLookInterval{1};

}  // namespace

KeyWatcher::KeyWatcher(std::optional<std::filesystem::path> database, std::vector<ConfiguredKey> configured, const Clock& clock,
                       AuthHooks hooks)
    : database_(std::move(database)), configured_(std::move(configured)), clock_(clock), hooks_(std::move(hooks)) {
  Publish(NewTenantSecret(), {});
}

Result<std::unique_ptr<KeyWatcher>> KeyWatcher::Create(std::optional<std::filesystem::path> database,
                                                       std::vector<ConfiguredKey> configured, const Clock& clock,
                                                       AuthHooks hooks) {
  std::unique_ptr<KeyWatcher> watcher(new KeyWatcher(std::move(database), std::move(configured), clock, std::move(hooks)));
  if (watcher->database_) {
    AUTOGLM_TRY_VOID(watcher->Refresh());
    watcher->next_look_ = clock.Now() + kLookInterval;
  }
  return watcher;
}

std::shared_ptr<const KeyTable> KeyWatcher::Current() {
  if (database_ && clock_.Now() >= next_look_.load()) {
    const std::unique_lock lock(refresh_mutex_, std::try_to_lock);
    if (lock && clock_.Now() >= next_look_.load()) {
      next_look_ = clock_.Now() + kLookInterval;
      const Status status = Refresh();
      const std::string problem = status ? "" : status.error().message;
      if (std::exchange(last_problem_, problem) != problem && !status) hooks_.on_problem(status.error());
    }
  }
  const std::lock_guard lock(table_mutex_);
  return table_;
}

Status KeyWatcher::Refresh() {
  AUTOGLM_TRY(const std::optional<FileStamp> now, FileStamp::Of(*database_));
  if (store_ && !(now && now->IsSameFile(*file_))) {
    store_.reset();
    version_.reset();
  }
  if (!now) {
    // Gone with the file: a key is good only where something says so. Its secret stays, and with it the salts.
    Publish(table_->tenant_secret(), {});
    return {};
  }
  if (!store_) {
    AUTOGLM_TRY(KeyStore store, KeyStore::Open(*database_));
    store_ = std::move(store);
    file_ = now;
  }
  // The version first: what changes between the two reads is seen the next time.
  AUTOGLM_TRY(const int64_t version, store_->DataVersion());
  if (version == version_) return {};
  AUTOGLM_TRY(const std::vector<KeyRecord> records, store_->List());
  Publish(store_->tenant_secret(), records);
  version_ = version;
  return {};
}

void KeyWatcher::Publish(const TenantSecret& secret, std::span<const KeyRecord> records) {
  auto table = std::make_shared<const KeyTable>(secret, configured_, records);
  const std::lock_guard lock(table_mutex_);
  table_ = std::move(table);
}

}  // namespace autoglm
