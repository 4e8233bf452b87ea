#include "server/context_store.h"

#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <span>
#include <sstream>
#include <utility>

#include "base/atomic_file.h"
#include "json/fields.h"

namespace autoglm {
namespace {

constexpr int kFileVersion = 1;
constexpr std::uintmax_t kMaxFileBytes = 64 << 20;

Json ToJson(const Context& context) {
  return {{"version", kFileVersion},
          {"id", context.id},
          {"tenant", context.tenant},
          {"model", context.model},
          {"messages", context.messages},
          {"prompt", context.prompt},
          {"tokens", context.tokens},
          {"public_tokens", context.num_public_tokens},
          {"ttl", context.ttl_s},
          {"created", context.created_unix_seconds},
          {"expires", context.expires_unix_seconds},
          {"pinned", context.is_pinned}};
}

std::optional<Context> FromJson(const Json& json) {
  try {
    if (json.at("version") != kFileVersion) return std::nullopt;
    return Context{.id = json.at("id"),
                   .tenant = json.at("tenant"),
                   .model = json.at("model"),
                   .messages = json.at("messages"),
                   .prompt = json.at("prompt"),
                   .tokens = json.at("tokens"),
                   .num_public_tokens = json.value("public_tokens", int64_t{0}),  // not in older files
                   .ttl_s = json.at("ttl"),
                   .created_unix_seconds = json.at("created"),
                   .expires_unix_seconds = json.at("expires"),
                   .is_pinned = json.at("pinned")};
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

std::function<int64_t()> SteadyUnixClock() {
  const auto opened = std::chrono::system_clock::now().time_since_epoch();
  return [opened, begin = std::chrono::steady_clock::now()] {
    return std::chrono::floor<std::chrono::seconds>(opened + (std::chrono::steady_clock::now() - begin)).count();
  };
}

tl::unexpected<Error> Unknown(const std::string& id) {
  return Fail(ErrorCode::kNotFound, "There is no context '" + id + "', or it has expired.", "context");
}

}  // namespace

Result<std::unique_ptr<ContextStore>> ContextStore::Open(ContextStoreOptions options) {
  if (!options.unix_now) options.unix_now = SteadyUnixClock();
  std::unique_ptr<ContextStore> store(new ContextStore(std::move(options)));
  const std::filesystem::path& folder = store->options_.folder;
  if (folder.empty()) return store;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return Fail(ErrorCode::kIo, folder.string() + ": cannot be made: " + error.message());
  chmod(folder.c_str(), S_IRWXU);  // what users wrote stands in it
  store->ReadFolder();
  return store;
}

void ContextStore::ReadFolder() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(options_.folder, error)) {
    if (entry.path().extension() != ".json" || entry.file_size(error) > kMaxFileBytes || error) continue;
    std::ifstream file(entry.path());
    std::ostringstream text;
    text << file.rdbuf();
    const Result<Json> json = ParseJson(text.str());
    std::optional<Context> context = json ? FromJson(*json) : std::nullopt;
    if (context && PathOf(context->id) == entry.path()) contexts_[context->id] = *context;
  }
}

// With the mutex held.
std::map<std::string, Context>::iterator ContextStore::FindLive(const std::string& id, uint64_t tenant) {
  const auto found = contexts_.find(id);
  if (found == contexts_.end() || found->second.tenant != tenant || found->second.expires_unix_seconds <= Now()) {
    return contexts_.end();
  }
  return found;
}

// With the mutex held.
Status ContextStore::Keep(Context& context) {
  context.expires_unix_seconds = Now() + context.ttl_s;
  if (options_.folder.empty()) return {};
  const std::string text = DumpJson(ToJson(context));
  AUTOGLM_TRY(AtomicFile file, AtomicFile::Create(PathOf(context.id)));
  AUTOGLM_TRY_VOID(file.Write(std::as_bytes(std::span(text))));
  return file.Commit();
}

Result<Context> ContextStore::Add(Context context) {
  const std::lock_guard lock(mutex_);
  int64_t num_of_tenant = 0;
  const int64_t now = Now();
  for (const auto& [id, other] : contexts_) {
    if (other.tenant == context.tenant && other.expires_unix_seconds > now) ++num_of_tenant;
  }
  if (num_of_tenant >= options_.max_of_tenant) {
    return Fail(ErrorCode::kResourceExhausted,
                "There are " + std::to_string(num_of_tenant) + " contexts already, as many as there may be; erase one first.");
  }
  context.created_unix_seconds = Now();
  AUTOGLM_TRY_VOID(Keep(context));
  contexts_[context.id] = context;
  return context;
}

Result<Context> ContextStore::Find(const std::string& id, uint64_t tenant) {
  const std::lock_guard lock(mutex_);
  const auto found = FindLive(id, tenant);
  if (found == contexts_.end()) return Unknown(id);
  return found->second;
}

Result<Context> ContextStore::Use(const std::string& id, uint64_t tenant) {
  const std::lock_guard lock(mutex_);
  const auto found = FindLive(id, tenant);
  if (found == contexts_.end()) return Unknown(id);
  Context& context = found->second;
  // Written down no more often than in every tenth of its time: a crash may cost it that much.
  const bool is_worth_a_write = context.expires_unix_seconds - Now() < context.ttl_s * 9 / 10;
  if (is_worth_a_write) {
    AUTOGLM_TRY_VOID(Keep(context));
  }
  context.expires_unix_seconds = Now() + context.ttl_s;
  return context;
}

Result<Context> ContextStore::Update(Context context) {
  const std::lock_guard lock(mutex_);
  const auto found = FindLive(context.id, context.tenant);
  if (found == contexts_.end()) return Unknown(context.id);
  AUTOGLM_TRY_VOID(Keep(context));
  found->second = context;
  return context;
}

Result<Context> ContextStore::Remove(const std::string& id, uint64_t tenant) {
  const std::lock_guard lock(mutex_);
  const auto found = FindLive(id, tenant);
  if (found == contexts_.end()) return Unknown(id);
  Context context = std::move(found->second);
  contexts_.erase(found);
  std::error_code error;
  if (!options_.folder.empty()) std::filesystem::remove(PathOf(id), error);
  return context;
}

std::vector<Context> ContextStore::List(uint64_t tenant) {
  const std::lock_guard lock(mutex_);
  std::vector<Context> list;
  for (const auto& [id, context] : contexts_) {
    if (context.tenant == tenant && context.expires_unix_seconds > Now()) list.push_back(context);
  }
  return list;
}

std::vector<Context> ContextStore::TakeExpired() {
  const std::lock_guard lock(mutex_);
  std::vector<Context> expired;
  const int64_t now = Now();
  std::error_code error;
  for (auto it = contexts_.begin(); it != contexts_.end();) {
    if (it->second.expires_unix_seconds > now) {
      ++it;
      continue;
    }
    if (!options_.folder.empty()) std::filesystem::remove(PathOf(it->first), error);
    expired.push_back(std::move(it->second));
    it = contexts_.erase(it);
  }
  return expired;
}

}  // namespace autoglm
