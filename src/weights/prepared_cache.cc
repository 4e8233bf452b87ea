#include "weights/prepared_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

namespace autoglm {
namespace {

// Counts up whenever an image of the same key would differ: another layout of panels, another order in memory.
constexpr uint32_t kVersion = 1;
constexpr std::array<char, 8> kMagic = {'A', 'G', 'L', 'M', 'P', 'R', 'E', 'P'};
constexpr int64_t kImageOffset = 2 << 20;
// Written at once; between two pieces a writer looks whether it should give up.
constexpr int64_t kPieceBytes = 16 << 20;
constexpr std::string_view kExtension = ".weights";
constexpr std::string_view kPartExtension = ".part";
constexpr int kLowPriority = 10;

struct Header {
  std::array<char, 8> magic = kMagic;
  uint32_t version = kVersion;
  uint32_t image_offset = kImageOffset;
  uint64_t image_bytes = 0;
  PreparedKey key;
  uint64_t checksum = 0;  // XXH3 of all above

  uint64_t Checksum() const { return XXH3_64bits(this, offsetof(Header, checksum)); }
};
static_assert(sizeof(Header) == 48, "no padding: the checksum goes over bytes");

tl::unexpected<Error> FailWithErrno(std::string_view action, const std::filesystem::path& path, int error) {
  const ErrorCode code = error == ENOSPC || error == EDQUOT || error == EFBIG ? ErrorCode::kResourceExhausted : ErrorCode::kIo;
  return Fail(code, fmt::format("cannot {} {}: {}", action, path.string(), std::generic_category().message(error)));
}

// A file that is being written, under the lock of its writer. Removed unless Publish succeeds.
class PartFile {
 public:
  // nullopt where somebody else is writing it. Errors: kIo.
  static Result<std::optional<PartFile>> Lock(const std::filesystem::path& path) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return FailWithErrno("create", path, errno);
    PartFile part(path, fd);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 || !part.IsStillNamed()) {
      part.path_.clear();  // somebody else's
      return std::nullopt;
    }
    return std::optional<PartFile>(std::move(part));
  }
  PartFile(PartFile&& other) noexcept : path_(std::exchange(other.path_, {})), fd_(std::exchange(other.fd_, -1)) {}
  PartFile& operator=(PartFile&&) = delete;
  ~PartFile() {
    if (!path_.empty()) (void)unlink(path_.c_str());
    if (fd_ >= 0) (void)close(fd_);
  }

  Status Reserve(int64_t bytes) {
    if (ftruncate(fd_, 0) != 0) return FailWithErrno("empty", path_, errno);
    // The hole before the image stays one. A file system that cannot reserve finds out while writing.
    const int error = posix_fallocate(fd_, kImageOffset, bytes);
    if (error != 0 && error != EOPNOTSUPP && error != EINVAL) return FailWithErrno("reserve room for", path_, error);
    return {};
  }

  Status Write(std::span<const std::byte> bytes, int64_t offset) {
    while (!bytes.empty()) {
      const ssize_t written = pwrite(fd_, bytes.data(), bytes.size(), offset);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return FailWithErrno("write", path_, errno);
      bytes = bytes.subspan(static_cast<size_t>(written));
      offset += written;
    }
    return {};
  }

  // Brings a piece to the disk: who gives up shall not wait for many of them at the end.
  void Flush(int64_t offset, int64_t bytes) {
    (void)sync_file_range(fd_, offset, bytes, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
  }

  Status Publish(const std::filesystem::path& final_path) {
    if (fsync(fd_) != 0) return FailWithErrno("write", path_, errno);
    if (rename(path_.c_str(), final_path.c_str()) != 0) return FailWithErrno("rename", path_, errno);
    path_.clear();
    const int folder = open(final_path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
      (void)fsync(folder);  // without it the name may be lost with the power, which costs packing once more
      (void)close(folder);
    }
    return {};
  }

 private:
  PartFile(std::filesystem::path path, int fd) : path_(std::move(path)), fd_(fd) {}

  // Between our open and our lock the last writer may have published or removed this file.
  bool IsStillNamed() const {
    struct stat named{};
    struct stat opened{};
    return stat(path_.c_str(), &named) == 0 && fstat(fd_, &opened) == 0 && named.st_ino == opened.st_ino &&
           named.st_dev == opened.st_dev;
  }

  std::filesystem::path path_;
  int fd_ = -1;
};

struct CachedFile {
  std::filesystem::path path;
  int64_t bytes = 0;
  std::filesystem::file_time_type used;
};

std::vector<CachedFile> ListFiles(const std::filesystem::path& folder, std::string_view extension) {
  std::vector<CachedFile> files;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() != extension) continue;
    std::error_code ignored;
    CachedFile file{.path = it->path(), .used = it->last_write_time(ignored)};
    struct stat info{};
    if (lstat(file.path.c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
      file.bytes = static_cast<int64_t>(info.st_blocks) * 512;
      files.push_back(std::move(file));
    }
  }
  return files;
}

bool IsIntact(int fd, const PreparedKey& key, int64_t image_bytes) {
  struct stat info{};
  Header header;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return false;
  if (pread(fd, &header, sizeof(header), 0) != static_cast<ssize_t>(sizeof(header))) return false;
  return header.magic == kMagic && header.version == kVersion && header.checksum == header.Checksum() && header.key == key &&
         header.image_offset == kImageOffset && header.image_bytes == static_cast<uint64_t>(image_bytes) &&
         info.st_size == kImageOffset + image_bytes;
}

}  // namespace

PreparedKey PreparedKey::Of(std::string_view description) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(description.data(), description.size()));
  static_assert(sizeof(canonical.digest) == kDigestBytes);
  PreparedKey key;
  std::memcpy(key.digest, canonical.digest, kDigestBytes);
  return key;
}

std::string PreparedKey::FileName() const {
  std::string name;
  for (const std::byte byte : digest) name += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return name + std::string(kExtension);
}

PreparedImage::PreparedImage(PreparedImage&& other) noexcept : fd_(std::exchange(other.fd_, -1)), offset_(other.offset_) {}

PreparedImage::~PreparedImage() {
  if (fd_ >= 0) (void)close(fd_);
}

std::optional<PreparedImage> PreparedCache::Find(const PreparedKey& key, int64_t image_bytes) const {
  const int fd = open(PathOf(key).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  PreparedImage image(fd, kImageOffset);
  if (!IsIntact(fd, key, image_bytes)) return std::nullopt;
  (void)futimens(fd, nullptr);  // used now; where the file is not ours to mark, it just looks older
  return image;
}

Status PreparedCache::Store(const PreparedKey& key, std::span<const std::byte> image, const CancelToken& cancel) const {
  std::error_code error;
  std::filesystem::create_directories(options_.folder, error);
  if (error) return FailWithErrno("create the folder", options_.folder, error.value());
  const std::filesystem::path path = PathOf(key);
  if (Find(key, std::ssize(image))) return {};

  AUTOGLM_TRY(std::optional<PartFile> part, PartFile::Lock(path.string() + std::string(kPartExtension)));
  if (!part) return {};
  RemoveAbandonedParts();
  AUTOGLM_TRY_VOID(MakeRoom(std::ssize(image)));
  AUTOGLM_TRY_VOID(part->Reserve(std::ssize(image)));
  for (int64_t at = 0; at < std::ssize(image); at += kPieceBytes) {
    if (cancel.IsCancelled()) return Fail(ErrorCode::kCancelled, "writing prepared weights was given up");
    const int64_t bytes = std::min(kPieceBytes, std::ssize(image) - at);
    AUTOGLM_TRY_VOID(part->Write(image.subspan(static_cast<size_t>(at), static_cast<size_t>(bytes)), kImageOffset + at));
    part->Flush(kImageOffset + at, bytes);
  }
  Header header{.image_bytes = image.size(), .key = key};
  header.checksum = header.Checksum();
  AUTOGLM_TRY_VOID(part->Write(std::as_bytes(std::span(&header, 1)), 0));
  return part->Publish(path);
}

// A file that is mapped elsewhere keeps its contents there after its name is gone.
Status PreparedCache::MakeRoom(int64_t bytes) const {
  if (bytes > options_.max_bytes) {
    return Fail(ErrorCode::kResourceExhausted, fmt::format("prepared weights of {} MiB are larger than the whole cache of {} MiB",
                                                           bytes >> 20, options_.max_bytes >> 20));
  }
  std::vector<CachedFile> files = ListFiles(options_.folder, kExtension);
  std::ranges::sort(files, {}, &CachedFile::used);
  int64_t total = bytes;
  for (const CachedFile& file : files) total += file.bytes;
  for (const CachedFile& file : files) {
    if (total <= options_.max_bytes) break;
    if (unlink(file.path.c_str()) == 0) total -= file.bytes;
  }
  struct statvfs disk{};
  if (statvfs(options_.folder.c_str(), &disk) != 0) return FailWithErrno("look at", options_.folder, errno);
  // As much again stays free: a cache must not be what fills the disk.
  const auto free_bytes = static_cast<int64_t>(disk.f_bavail) * static_cast<int64_t>(disk.f_frsize);
  if (free_bytes / 2 >= bytes) return {};
  return Fail(ErrorCode::kResourceExhausted,
              fmt::format("{} has {} MiB free; prepared weights take {} MiB and leave half of it alone", options_.folder.string(),
                          free_bytes >> 20, bytes >> 20));
}

// Of writers that are no more: a living one holds the lock.
void PreparedCache::RemoveAbandonedParts() const {
  for (const CachedFile& file : ListFiles(options_.folder, kPartExtension)) {
    // PartFile removes what it has locked when it goes; ours is locked through another descriptor and is not touched.
    const auto abandoned = PartFile::Lock(file.path);
  }
}

PreparedWriter::PreparedWriter(PreparedCacheOptions options, const PreparedKey& key, std::span<const std::byte> image)
    : thread_([this, options = std::move(options), key, image] {
        (void)setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kLowPriority);
        status_ = PreparedCache(options).Store(key, image, cancel_);
      }) {}

PreparedWriter::~PreparedWriter() {
  cancel_.Cancel();
  if (thread_.joinable()) thread_.join();
}

Status PreparedWriter::Join() {
  if (thread_.joinable()) thread_.join();
  return status_;
}

}  // namespace autoglm
