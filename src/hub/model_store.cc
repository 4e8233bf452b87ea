#include "hub/model_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>
#include <thread>
#include <utility>

#include "base/atomic_file.h"
#include "hub/checksum.h"
#include "json/json.h"

namespace autoglm {
namespace {

constexpr std::string_view kPart = ".part";
constexpr std::string_view kManifest = ".autoglm.json";
constexpr std::string_view kLock = ".lock";
constexpr int kAttemptsMax = 6;
constexpr std::chrono::milliseconds kPoll{100};
constexpr std::chrono::milliseconds kRetryDelayMax{16'000};
constexpr int64_t kSpareBytes = 64 << 20;  // that stay free on the disk
constexpr std::streamoff kManifestBytesMax = 1 << 20;

tl::unexpected<Error> FailWithErrno(std::string_view action, const std::filesystem::path& path, int error) {
  const ErrorCode code = error == ENOSPC || error == EDQUOT || error == EFBIG ? ErrorCode::kResourceExhausted : ErrorCode::kIo;
  return Fail(code, fmt::format("cannot {} {}: {}", action, path.string(), std::generic_category().message(error)));
}

tl::unexpected<Error> FailCancelled() {
  return Fail(ErrorCode::kCancelled, "stopped; the same command goes on where this one stopped");
}

// Of a regular file; nullopt where there is none.
std::optional<int64_t> SizeOf(const std::filesystem::path& path) {
  struct stat info{};
  if (lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return info.st_size;
}

Status MakeFolder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return FailWithErrno("create the folder", folder, error.value());
  return {};
}

// Held by whoever fetches into a folder.
class FolderLock {
 public:
  static Result<FolderLock> Take(const std::filesystem::path& folder, const PullObserver& observer) {
    const std::filesystem::path path = folder / kLock;
    FolderLock lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (lock.fd_ < 0) return FailWithErrno("create", path, errno);
    bool has_told = false;
    while (flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) return FailWithErrno("lock", path, errno);
      if (observer.is_cancelled()) return FailCancelled();
      if (!std::exchange(has_told, true)) observer.notice("waiting: another process is fetching this model");
      std::this_thread::sleep_for(kPoll);
    }
    return lock;
  }
  FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock() {
    if (fd_ >= 0) (void)close(fd_);
  }

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_;
};

// What has come of a file so far, open for what comes next.
class PartFile {
 public:
  static Result<PartFile> Open(const std::filesystem::path& path) {
    PartFile part(path, open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (part.fd_ < 0) return FailWithErrno("create", path, errno);
    return part;
  }
  PartFile(PartFile&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  PartFile& operator=(PartFile&&) = delete;
  ~PartFile() {
    if (fd_ >= 0) (void)close(fd_);
  }

  // The next byte goes there; what was behind is lost.
  Status Seek(int64_t offset) {
    if (ftruncate(fd_, offset) != 0) return FailWithErrno("shorten", path_, errno);
    offset_ = offset;
    return {};
  }
  Status Write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t written = pwrite(fd_, bytes.data(), bytes.size(), offset_);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return FailWithErrno("write", path_, errno);
      bytes = bytes.subspan(static_cast<size_t>(written));
      offset_ += written;
    }
    return {};
  }
  Status Sync() {
    if (fsync(fd_) != 0) return FailWithErrno("write", path_, errno);
    return {};
  }
  int64_t offset() const { return offset_; }

 private:
  PartFile(std::filesystem::path path, int fd) : path_(std::move(path)), fd_(fd) {}

  std::filesystem::path path_;
  int fd_;
  int64_t offset_ = 0;
};

Status CheckDisk(const std::filesystem::path& folder, int64_t needed_bytes) {
  struct statvfs disk{};
  if (statvfs(folder.c_str(), &disk) != 0) return FailWithErrno("look at", folder, errno);
  const auto free_bytes = static_cast<int64_t>(disk.f_bavail) * static_cast<int64_t>(disk.f_frsize);
  if (needed_bytes + kSpareBytes <= free_bytes) return {};
  return Fail(ErrorCode::kResourceExhausted, fmt::format("{} has {} MB free, and {} MB more are needed", folder.string(),
                                                         free_bytes / 1'000'000, needed_bytes / 1'000'000));
}

Status CheckContents(const std::filesystem::path& path, const HubFile& file) {
  std::string expected, found;
  if (!file.sha256.empty()) {
    expected = file.sha256;
    AUTOGLM_TRY(found, Sha256OfFile(path));
  } else if (!file.git_sha1.empty()) {
    expected = file.git_sha1;
    AUTOGLM_TRY(found, GitBlobSha1OfFile(path));
  }
  if (found == expected) return {};
  return Fail(ErrorCode::kCorruptFile,
              fmt::format("{} has the checksum {}, and the hub says {}: it was damaged on its way or has changed; "
                          "it was removed, try again",
                          file.path, found, expected));
}

bool MayPass(int64_t status) { return status == 0 || status == 408 || status == 429 || status >= 500; }

Status WriteManifest(const std::filesystem::path& folder, const ModelReference& reference, const std::vector<HubFile>& files) {
  Json json = {{"model", reference.ToString()}, {"files", Json::array()}};
  for (const HubFile& file : files) {
    json["files"].push_back({{"path", file.path}, {"bytes", file.num_bytes}, {"sha256", file.sha256}});
  }
  AUTOGLM_TRY(AtomicFile manifest, AtomicFile::Create(folder / kManifest));
  const std::string text = DumpJson(json) + "\n";
  AUTOGLM_TRY_VOID(manifest.Write(std::as_bytes(std::span(text))));
  return manifest.Commit();
}

struct Manifest {
  std::vector<std::string> files;
};

std::optional<Manifest> ReadManifest(const std::filesystem::path& folder) {
  std::ifstream file(folder / kManifest, std::ios::binary | std::ios::ate);
  if (!file || file.tellg() > kManifestBytesMax) return std::nullopt;
  file.seekg(0);
  const Result<Json> json = ParseJson(std::string(std::istreambuf_iterator<char>(file), {}));
  if (!json || !json->is_object() || !json->contains("files") || !(*json)["files"].is_array()) return std::nullopt;
  Manifest manifest;
  for (const Json& entry : (*json)["files"]) {
    const auto path = entry.find("path");
    const auto bytes = entry.find("bytes");
    const bool is_entry =
        entry.is_object() && path != entry.end() && path->is_string() && bytes != entry.end() && bytes->is_number_integer();
    if (!is_entry || !IsSafeRelativePath(path->get<std::string>())) return std::nullopt;
    if (SizeOf(folder / path->get<std::string>()) != bytes->get<int64_t>()) return std::nullopt;
    manifest.files.push_back(path->get<std::string>());
  }
  return manifest;
}

// The model that a complete list of files makes.
std::filesystem::path ModelPath(const std::filesystem::path& folder, const Manifest& manifest) {
  return manifest.files.size() == 1 && manifest.files[0].ends_with(".gguf") ? folder / manifest.files[0] : folder;
}

int64_t BytesBelow(const std::filesystem::path& folder) {
  int64_t total = 0;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    total += SizeOf(it->path()).value_or(0);
  }
  return total;
}

}  // namespace

std::optional<std::filesystem::path> ModelStore::Find(const ModelReference& reference) const {
  if (!reference.file.empty()) {
    std::filesystem::path path = PathOf(reference, reference.file);
    if (SizeOf(path)) return path;
    return std::nullopt;
  }
  const std::filesystem::path folder = folder_ / reference.Folder();
  const std::optional<Manifest> manifest = ReadManifest(folder);
  if (!manifest || manifest->files.empty()) return std::nullopt;
  return ModelPath(folder, *manifest);
}

Result<std::filesystem::path> ModelStore::Pull(const ModelReference& reference, HubClient& hub, const PullObserver& observer) {
  const std::filesystem::path folder = folder_ / reference.Folder();
  AUTOGLM_TRY_VOID(MakeFolder(folder));
  AUTOGLM_TRY(const FolderLock lock, FolderLock::Take(folder, observer));
  if (const auto here = Find(reference)) return *here;

  hub.SetCancelCheck(observer.is_cancelled);
  AUTOGLM_TRY(const std::vector<HubFile> all, ListFiles(reference, hub, observer));
  AUTOGLM_TRY(const std::vector<HubFile> files, ChooseFiles(all, reference));
  int64_t total = 0;
  int64_t missing = 0;
  for (const HubFile& file : files) {
    total += file.num_bytes;
    const std::filesystem::path path = PathOf(reference, file.path);
    const int64_t here = SizeOf(path).value_or(SizeOf(path.string() + std::string(kPart)).value_or(0));
    missing += std::max<int64_t>(file.num_bytes - here, 0);
  }
  AUTOGLM_TRY_VOID(CheckDisk(folder, missing));
  int64_t done = 0;
  for (const HubFile& file : files) {
    AUTOGLM_TRY_VOID(FetchFile(reference, file, hub, observer, done, total));
    done += file.num_bytes;
    observer.progress(done, total);
  }
  if (!reference.file.empty()) return PathOf(reference, reference.file);
  AUTOGLM_TRY_VOID(WriteManifest(folder, reference, files));
  Manifest manifest;
  for (const HubFile& file : files) manifest.files.push_back(file.path);
  return ModelPath(folder, manifest);
}

Result<std::vector<HubFile>> ModelStore::ListFiles(const ModelReference& reference, HubClient& hub,
                                                   const PullObserver& observer) const {
  constexpr int kListAttemptsMax = 3;
  for (int attempt = 1;; ++attempt) {
    Result<std::vector<HubFile>> files = hub.ListFiles(reference);
    if (files) return files;
    if (observer.is_cancelled()) return FailCancelled();
    if (files.error().code != ErrorCode::kUnavailable || attempt == kListAttemptsMax) return files;
    observer.notice(files.error().message + "; trying again");
    AUTOGLM_TRY_VOID(WaitBeforeRetry(attempt, observer));
  }
}

Status ModelStore::FetchFile(const ModelReference& reference, const HubFile& file, HubClient& hub, const PullObserver& observer,
                             int64_t done, int64_t total) const {
  const std::filesystem::path path = PathOf(reference, file.path);
  if (SizeOf(path) == file.num_bytes) return {};  // it has its name because it was right
  const std::filesystem::path part = path.string() + std::string(kPart);
  AUTOGLM_TRY_VOID(MakeFolder(path.parent_path()));
  observer.notice(fmt::format("{} ({} MB)", file.path, (file.num_bytes + 500'000) / 1'000'000));
  AUTOGLM_TRY_VOID(DownloadPart(reference, file, hub, observer, done, total));
  if (const Status right = CheckContents(part, file); !right) {
    (void)unlink(part.c_str());
    return right;
  }
  if (rename(part.c_str(), path.c_str()) != 0) return FailWithErrno("rename", part, errno);
  return {};
}

// Goes on where an earlier attempt, of this process or another, has stopped.
Status ModelStore::DownloadPart(const ModelReference& reference, const HubFile& file, HubClient& hub,
                                const PullObserver& observer, int64_t done, int64_t total) const {
  const std::filesystem::path path = PathOf(reference, file.path + std::string(kPart));
  AUTOGLM_TRY(PartFile part, PartFile::Open(path));
  std::string problem;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    if (attempt > 0) {
      observer.notice(fmt::format("{}; trying again", problem));
      AUTOGLM_TRY_VOID(WaitBeforeRetry(attempt, observer));
    }
    const int64_t have = SizeOf(path).value_or(0);
    AUTOGLM_TRY_VOID(part.Seek(have > file.num_bytes ? 0 : have));
    if (part.offset() == file.num_bytes) return part.Sync();

    Status written;
    const HttpClient::Sink sink{
        .begin =
            [&](int64_t, int64_t first_byte) {
              // A hub that does not do ranges sends everything again.
              if (first_byte != part.offset()) written = part.Seek(first_byte == 0 ? 0 : part.offset());
              if (written && first_byte != part.offset()) {
                written =
                    Fail(ErrorCode::kUnavailable, fmt::format("{}: the hub sent another part than was asked for", file.path));
              }
              return written.has_value();
            },
        .bytes =
            [&](std::span<const std::byte> bytes) {
              if (observer.is_cancelled()) {
                written = FailCancelled();
              } else if (part.offset() + std::ssize(bytes) > file.num_bytes) {
                written = Fail(ErrorCode::kCorruptFile,
                               fmt::format("{}: the hub sends more than the {} bytes it announced", file.path, file.num_bytes));
              } else {
                written = part.Write(bytes);
              }
              observer.progress(done + part.offset(), total);
              return written.has_value();
            }};
    const HttpDownload end = hub.Download(reference, file.path, part.offset(), sink);
    if (!written) return written;
    if (observer.is_cancelled()) return FailCancelled();
    if (end.status >= 300 && !MayPass(end.status)) {
      return tl::unexpected<Error>(HubClient::ErrorOf(end.status, reference, reference.repo_id() + ":" + file.path));
    }
    if (end.status < 300 && end.is_complete && part.offset() == file.num_bytes) return part.Sync();
    problem = !end.problem.empty() ? end.problem
              : end.status >= 300  ? fmt::format("the hub answered HTTP {}", end.status)
                                   : fmt::format("the hub sent {} of {} bytes", part.offset(), file.num_bytes);
  }
  return Fail(ErrorCode::kUnavailable, fmt::format("{}: {} ({} attempts); the same command goes on where this one stopped",
                                                   file.path, problem, kAttemptsMax));
}

Status ModelStore::WaitBeforeRetry(int attempt, const PullObserver& observer) const {
  const auto until = std::chrono::steady_clock::now() + std::min(first_retry_delay_ * (1 << (attempt - 1)), kRetryDelayMax);
  while (std::chrono::steady_clock::now() < until) {
    if (observer.is_cancelled()) return FailCancelled();
    std::this_thread::sleep_for(std::min<std::chrono::milliseconds>(kPoll, first_retry_delay_));
  }
  return {};
}

std::vector<StoredModel> ModelStore::List() const {
  std::vector<StoredModel> models;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator it(folder_, error), end; !error && it != end; it.increment(error)) {
    const std::filesystem::path& path = it->path();
    if (!it->is_regular_file(error)) continue;
    // HUB/ORG/REPO/REVISION/...
    const std::filesystem::path relative = path.lexically_relative(folder_);
    std::vector<std::string> parts;
    for (const auto& part : relative) parts.push_back(part.string());
    if (parts.size() < 5) continue;
    const std::filesystem::path folder = folder_ / parts[0] / parts[1] / parts[2] / parts[3];
    const auto named = ModelReference::Parse(fmt::format("{}:{}/{}@{}", parts[0], parts[1], parts[2], parts[3]));
    if (!named) continue;
    const std::string reference = named->ToString();
    if (parts[4] == kManifest) {
      if (const auto manifest = ReadManifest(folder)) {
        models.push_back({.reference = reference, .path = ModelPath(folder, *manifest), .num_bytes = BytesBelow(folder)});
      }
    } else if (path.extension() == ".gguf" && !ReadManifest(folder)) {
      models.push_back(
          {.reference = reference + ":" + path.lexically_relative(folder).string(), .path = path, .num_bytes = *SizeOf(path)});
    }
  }
  std::ranges::sort(models, {}, &StoredModel::reference);
  return models;
}

Status ModelStore::Remove(const ModelReference& reference) {
  const std::filesystem::path folder = folder_ / reference.Folder();
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    return Fail(ErrorCode::kNotFound, fmt::format("{} is not in {}", reference.ToString(), folder_.string()));
  }
  const auto lock = FolderLock::Take(folder, {.is_cancelled = [] { return true; }});
  if (!lock) return Fail(ErrorCode::kUnavailable, fmt::format("{} is being fetched by another process", reference.ToString()));
  if (!reference.file.empty()) {
    const std::filesystem::path path = PathOf(reference, reference.file);
    const bool was_there = std::filesystem::remove(path, error);
    const bool had_part = std::filesystem::remove(path.string() + std::string(kPart), error);
    if (was_there || had_part) return {};
  } else if (std::filesystem::exists(folder, error)) {
    std::filesystem::remove_all(folder, error);
    if (error) return FailWithErrno("remove", folder, error.value());
    return {};
  }
  return Fail(ErrorCode::kNotFound, fmt::format("{} is not in {}", reference.ToString(), folder_.string()));
}

}  // namespace autoglm
