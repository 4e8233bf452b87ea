#include "kvstore/store_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <optional>
#include <utility>

namespace autoglm {
namespace {

constexpr std::string_view kExtension = ".kv";
constexpr int64_t kPageBytes = 4096;
constexpr int64_t kChargedBytesMin = 16 << 10;
constexpr int64_t kNanoseconds = 1'000'000'000;
constexpr int64_t kClockErrorNs = 60 * kNanoseconds;  // between this machine and the one that has the files

std::optional<BlockKey> KeyOfFile(const std::filesystem::path& path) {
  if (path.extension() != kExtension) return std::nullopt;
  return BlockKey::FromHex(path.stem().string());
}

bool IsPart(const std::filesystem::path& path) { return path.extension().string().starts_with(kPartExtension); }

std::filesystem::path PathBelow(const std::filesystem::path& root, const std::string& fingerprint, const BlockKey& key) {
  const std::string name = key.Hex();
  return root / fingerprint / name.substr(0, 2) / (name + std::string(kExtension));
}

int64_t UnixNanoseconds() {
  timespec now{};
  (void)clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<int64_t>(now.tv_sec) * kNanoseconds + now.tv_nsec;
}

// Where the file is not ours to mark, it keeps its time.
void SetUsed(const std::filesystem::path& path, int64_t used_ns) {
  const timespec used{.tv_sec = used_ns / kNanoseconds, .tv_nsec = used_ns % kNanoseconds};
  const timespec times[2] = {used, used};
  (void)utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW);
}

// Calls visit(path) for what lies in the folder, until it says false. Errors end it: what cannot be listed is not there.
template <typename Visit>
bool VisitFolder(const std::filesystem::path& folder, Visit visit) {
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!visit(it->path())) return false;
  }
  return true;
}

template <typename Visit>
bool VisitFingerprint(const std::filesystem::path& folder, Visit visit) {
  return VisitFolder(folder, [&](const std::filesystem::path& shard) {
    return shard.filename().native().size() != 2 || VisitFolder(shard, visit);
  });
}

}  // namespace

StoreFolder::StoreFolder(std::filesystem::path root, const KvFingerprint& fingerprint)
    : root_(std::move(root)), fingerprint_(fingerprint) {}

std::filesystem::path StoreFolder::PathOf(const BlockKey& key) const { return PathBelow(root_, fingerprint_.Hex(), key); }

void StoreFolder::VisitOwn(const std::function<bool(const BlockKey&)>& visit) const {
  VisitFingerprint(root_ / fingerprint_.Hex(), [&](const std::filesystem::path& path) {
    const std::optional<BlockKey> key = KeyOfFile(path);
    return !key || visit(*key);
  });
}

void StoreFolder::MarkUsed(std::span<const BlockKey> chain, const GoesOn& goes_on) const {
  int64_t used_ns = UnixNanoseconds();
  for (const BlockKey& key : chain) {
    if (!goes_on()) return;
    SetUsed(PathOf(key), used_ns--);
  }
}

int64_t StoreFolder::ChargedBytes(int64_t file_bytes) {
  return std::max(kChargedBytesMin, (file_bytes + kPageBytes - 1) / kPageBytes * kPageBytes);
}

std::optional<std::vector<StoreFolder::FoundFile>> StoreFolder::ListAll(std::vector<std::string>& owners,
                                                                        const GoesOn& goes_on) const {
  std::vector<FoundFile> files;
  const bool is_all = VisitFolder(root_, [&](const std::filesystem::path& folder) {
    if (!BlockKey::FromHex(folder.filename().string())) return true;
    owners.push_back(folder.filename().string());
    return VisitFingerprint(folder, [&](const std::filesystem::path& path) {
      if (!goes_on()) return false;
      if (IsPart(path)) RemoveIfAbandoned(path);
      const std::optional<BlockKey> key = KeyOfFile(path);
      struct stat info{};
      if (!key || lstat(path.c_str(), &info) != 0) return true;
      files.push_back({.owner = owners.size() - 1,
                       .key = *key,
                       .bytes = ChargedBytes(info.st_size),
                       .used_ns = static_cast<int64_t>(info.st_mtim.tv_sec) * kNanoseconds + info.st_mtim.tv_nsec});
      return true;
    });
  });
  if (!is_all) return std::nullopt;
  return files;
}

// A clock that was ahead leaves files which would outlive all that are written after them. They keep their order, and age from
// now on.
void StoreFolder::BringBackFromTheFuture(std::vector<FoundFile>& files, const std::vector<std::string>& owners) const {
  const int64_t now_ns = UnixNanoseconds();
  int64_t latest_ns = now_ns;
  for (const FoundFile& file : files) latest_ns = std::max(latest_ns, file.used_ns);
  for (FoundFile& file : files) {
    if (file.used_ns <= now_ns + kClockErrorNs) continue;
    file.used_ns = std::max<int64_t>(0, now_ns - (latest_ns - file.used_ns));
    SetUsed(PathBelow(root_, owners[file.owner], file.key), file.used_ns);
  }
}

std::optional<StoreFolder::Trimmed> StoreFolder::Trim(int64_t max_bytes, int64_t extra_bytes, const GoesOn& goes_on) const {
  std::vector<std::string> owners;
  std::optional<std::vector<FoundFile>> found = ListAll(owners, goes_on);
  if (!found) return std::nullopt;
  std::vector<FoundFile>& files = *found;
  BringBackFromTheFuture(files, owners);
  Trimmed trimmed{.max_bytes = max_bytes};
  for (const FoundFile& file : files) trimmed.num_bytes += file.bytes;
  struct statvfs disk{};
  if (statvfs(root_.c_str(), &disk) == 0) {
    const auto free_bytes = static_cast<int64_t>(disk.f_bavail) * static_cast<int64_t>(disk.f_frsize);
    trimmed.max_bytes = std::min(max_bytes, (trimmed.num_bytes + free_bytes) / 10 * 9);
  }
  const bool is_too_much = trimmed.num_bytes + extra_bytes > trimmed.max_bytes;
  const int64_t target = trimmed.max_bytes - trimmed.max_bytes / 16 - extra_bytes;
  if (is_too_much) std::ranges::sort(files, {}, &FoundFile::used_ns);
  const std::string own = fingerprint_.Hex();
  for (const FoundFile& file : files) {
    if (is_too_much && trimmed.num_bytes > target && goes_on()) {
      (void)unlink(PathBelow(root_, owners[file.owner], file.key).c_str());
      trimmed.num_bytes -= file.bytes;
    } else if (owners[file.owner] == own) {
      trimmed.own_left.push_back(file.key);
    }
  }
  return trimmed;
}

}  // namespace autoglm
