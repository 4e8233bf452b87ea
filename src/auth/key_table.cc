#include "auth/key_table.h"

namespace autoglm {
namespace {

std::shared_ptr<const Principal> MakePrincipal(const TenantSecret& secret, std::string id, std::string name, Policy policy) {
  const uint64_t salt = CacheSaltOf(secret, policy.tenant);
  return std::make_shared<const Principal>(
      Principal{.key_id = std::move(id), .name = std::move(name), .policy = std::move(policy), .cache_salt = salt});
}

}  // namespace

KeyTable::KeyTable(const TenantSecret& secret, std::span<const ConfiguredKey> configured, std::span<const KeyRecord> records)
    : secret_(secret) {
  for (const KeyRecord& record : records) {
    entries_[record.sha256] = {.principal = MakePrincipal(secret, record.id, record.name, record.policy),
                               .expires_at = record.expires_at,
                               .is_revoked = record.revoked_at.has_value()};
  }
  for (const ConfiguredKey& key : configured) {
    entries_.try_emplace(key.sha256, Entry{.principal = MakePrincipal(secret, "file:" + key.name, key.name, key.policy)});
  }
}

const KeyTable::Entry* KeyTable::Find(const KeyHash& sha256) const {
  const auto found = entries_.find(sha256);
  return found == entries_.end() ? nullptr : &found->second;
}

}  // namespace autoglm
