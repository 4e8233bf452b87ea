#pragma once

#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "auth/key_store.h"
#include "auth/principal.h"
#include "auth/secret_hash.h"

namespace autoglm {

// A key written into a configuration file.
struct ConfiguredKey {
  std::string name;
  KeyHash sha256{};
  Policy policy;

  bool operator==(const ConfiguredKey&) const = default;
};

// All keys at one moment. Immutable.
class KeyTable {
 public:
  struct Entry {
    std::shared_ptr<const Principal> principal;
    std::optional<WallTime> expires_at;
    bool is_revoked = false;
  };

  // Where both know a key, the database's word counts: it may say that the key is revoked.
  KeyTable(const TenantSecret& secret, std::span<const ConfiguredKey> configured, std::span<const KeyRecord> records);

  // By the key's hash: how long that takes tells nothing about any key. nullptr where unknown.
  const Entry* Find(const KeyHash& sha256) const;
  // Revoked ones included.
  bool is_empty() const { return entries_.empty(); }
  const TenantSecret& tenant_secret() const { return secret_; }

 private:
  struct FirstBytes {
    size_t operator()(const KeyHash& sha256) const {
      size_t bytes = 0;
      std::memcpy(&bytes, sha256.data(), sizeof(bytes));
      return bytes;
    }
  };

  TenantSecret secret_;
  std::unordered_map<KeyHash, Entry, FirstBytes> entries_;
};

}  // namespace autoglm
