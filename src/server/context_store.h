#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "json/json.h"
#include "kvcache/cache_scope.h"

namespace autoglm {

// The beginning of conversations or texts that a tenant has given a name: its messages or its prompt, and their tokens, whose
// keys and values the engine holds while it is pinned.
struct Context {
  std::string id;  // "ctx-" and 32 hexadecimal digits
  uint64_t tenant = 0;
  std::string model;
  Json messages;                  // a list; null for a prompt
  std::string prompt;             // where messages are null
  std::vector<TokenId> tokens;    // what they were in the model when they were last computed
  int64_t num_public_tokens = 0;  // of these, at that time
  int64_t ttl_s = 0;
  int64_t created_unix_seconds = 0;
  int64_t expires_unix_seconds = 0;  // ttl_s after the last use
  bool is_pinned = true;

  // Where its blocks are.
  CacheScope scope() const { return {tenant, num_public_tokens}; }
};

struct ContextStoreOptions {
  std::filesystem::path folder;  // where contexts survive a restart, one JSON file each; empty: nowhere
  int64_t max_of_tenant = 256;
  // Seconds; null: the system's clock as it was when the store was opened, and a steady one from there, so that a clock that is
  // set meanwhile ends no context.
  std::function<int64_t()> unix_now;
};

// The contexts of a server. Any thread.
class ContextStore {
 public:
  // Reads what is in the folder; files that are no contexts are left alone. Errors: kIo where the folder cannot be made.
  static Result<std::unique_ptr<ContextStore>> Open(ContextStoreOptions options);

  // Sets created and expires. Errors: kResourceExhausted where the tenant has as many as it may; kIo where it cannot be kept.
  Result<Context> Add(Context context);
  // A tenant's own; one of another tenant is as unknown as one that does not exist. Errors: kNotFound.
  Result<Context> Find(const std::string& id, uint64_t tenant);
  // The same, and it expires a whole ttl from now.
  Result<Context> Use(const std::string& id, uint64_t tenant);
  // Replaces the one of the same id, which expires a whole ttl from now. Errors: kNotFound, kIo.
  Result<Context> Update(Context context);
  Result<Context> Remove(const std::string& id, uint64_t tenant);
  std::vector<Context> List(uint64_t tenant);
  // Takes out those that have expired, of all tenants.
  std::vector<Context> TakeExpired();

 private:
  explicit ContextStore(ContextStoreOptions options) : options_(std::move(options)) {}
  void ReadFolder();
  int64_t Now() const { return options_.unix_now(); }
  std::map<std::string, Context>::iterator FindLive(const std::string& id, uint64_t tenant);
  Status Keep(Context& context);
  std::filesystem::path PathOf(const std::string& id) const { return options_.folder / (id + ".json"); }

  const ContextStoreOptions options_;
  std::mutex mutex_;
  std::map<std::string, Context> contexts_;  // by id
};

}  // namespace autoglm
