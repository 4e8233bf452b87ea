#include "discovery/registered_upstreams.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "base/atomic_file.h"
#include "base/text_file.h"
#include "json/fields.h"

namespace autoglm::discovery {
namespace {

constexpr int64_t kFileBytesMax = 64 << 20;
constexpr mode_t kOwnerOnly = 0600;  // there are keys in it

auto Position(auto& list, std::string_view id_or_url) {
  while (id_or_url.ends_with('/')) id_or_url.remove_suffix(1);
  return std::ranges::find_if(list, [&](const Registration& one) { return one.id == id_or_url || one.url == id_or_url; });
}

tl::unexpected<Error> NoSuchWorker(std::string_view id_or_url) {
  return Fail(ErrorCode::kNotFound, fmt::format("There is no worker {}.", id_or_url));
}

}  // namespace

Result<std::unique_ptr<RegisteredUpstreams>> RegisteredUpstreams::Open(std::filesystem::path file) {
  std::unique_ptr<RegisteredUpstreams> upstreams(new RegisteredUpstreams(std::move(file)));
  AUTOGLM_TRY_VOID(upstreams->Read());
  return upstreams;
}

Status RegisteredUpstreams::Read() {
  if (file_.empty()) return {};
  const Result<std::string> text = ReadTextFile(file_, kFileBytesMax);
  if (!text && text.error().code == ErrorCode::kNotFound) return {};
  if (!text) return tl::unexpected(text.error());
  const auto corrupt = [this](const Error& error) {
    return Fail(ErrorCode::kCorruptFile,
                fmt::format("{} is no list of workers: {}; move it away to start with none", file_.string(), error.message));
  };
  const Result<Json> json = ParseJson(*text);
  if (!json) return corrupt(json.error());
  const Result<JsonFields> fields = JsonFields::Of(*json, "the file");
  if (!fields) return corrupt(fields.error());
  const Result<const Json*> workers = fields->Array("workers");
  if (!workers) return corrupt(workers.error());
  if (*workers == nullptr) return corrupt({.message = "workers is missing"});
  for (const Json& body : **workers) {
    Result<Registration> registration = ReadRegistration(body);
    if (!registration) return corrupt(registration.error());
    list_.push_back(*std::move(registration));
  }
  return {};
}

Status RegisteredUpstreams::Replace(std::vector<Registration> list) {
  if (!file_.empty()) {
    Json workers = Json::array();
    for (const Registration& registration : list) workers.push_back(BodyOf(registration));
    const std::string text = DumpJson({{"workers", std::move(workers)}}) + "\n";
    AUTOGLM_TRY(AtomicFile file, AtomicFile::Create(file_, kOwnerOnly));
    AUTOGLM_TRY_VOID(file.Write(std::as_bytes(std::span(text))));
    AUTOGLM_TRY_VOID(file.Commit());
  }
  list_ = std::move(list);
  return {};
}

Status RegisteredUpstreams::Add(Registration registration) {
  const std::lock_guard lock(mutex_);
  std::vector<Registration> list = list_;
  const auto known = Position(list, registration.id);
  if (known != list.end()) {
    *known = std::move(registration);
  } else if (list.size() >= kMax) {
    return Fail(ErrorCode::kResourceExhausted, fmt::format("There are {} workers already.", kMax));
  } else {
    list.push_back(std::move(registration));
  }
  return Replace(std::move(list));
}

Result<Registration> RegisteredUpstreams::Remove(std::string_view id_or_url) {
  const std::lock_guard lock(mutex_);
  std::vector<Registration> list = list_;
  const auto known = Position(list, id_or_url);
  if (known == list.end()) return NoSuchWorker(id_or_url);
  Registration removed = std::move(*known);
  list.erase(known);
  AUTOGLM_TRY_VOID(Replace(std::move(list)));
  return removed;
}

Result<Registration> RegisteredUpstreams::Find(std::string_view id_or_url) const {
  const std::lock_guard lock(mutex_);
  const auto known = Position(list_, id_or_url);
  if (known == list_.end()) return NoSuchWorker(id_or_url);
  return *known;
}

std::vector<Registration> RegisteredUpstreams::List() const {
  const std::lock_guard lock(mutex_);
  return list_;
}

}  // namespace autoglm::discovery
