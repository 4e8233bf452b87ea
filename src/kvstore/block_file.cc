#include "kvstore/block_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <system_error>
#include <utility>

namespace autoglm {
namespace {

constexpr uint32_t kVersion = 1;
constexpr std::array<char, 8> kMagic = {'A', 'G', 'L', 'M', 'K', 'V', 'B', 'L'};
constexpr std::time_t kAbandonedAfterSeconds = 60;
constexpr int kMaxVanishings = 3;
constexpr mode_t kFolderMode = 0700;  // keys and values tell what was said

struct Header {
  std::array<char, 8> magic = kMagic;
  uint32_t version = kVersion;
  uint32_t reserved = 0;
  KvFingerprint fingerprint;
  BlockKey key;
  uint64_t payload_bytes = 0;
  uint64_t checksum_high = 0;
  uint64_t checksum_low = 0;
  uint64_t reserved_too = 0;

  static Header Of(const BlockIdentity& identity, std::span<const std::byte> payload) {
    const XXH128_hash_t checksum = XXH3_128bits(payload.data(), payload.size());
    return {.fingerprint = identity.fingerprint,
            .key = identity.key,
            .payload_bytes = payload.size(),
            .checksum_high = checksum.high64,
            .checksum_low = checksum.low64};
  }

  bool operator==(const Header&) const = default;
};
static_assert(sizeof(Header) == kBlockFileHeaderBytes, "no padding: the header is written as it stands");

tl::unexpected<Error> FailWithErrno(std::string_view action, const std::filesystem::path& path, int error) {
  const bool is_full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  const ErrorCode other = error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
  return Fail(is_full ? ErrorCode::kResourceExhausted : other,
              fmt::format("cannot {} {}: {}", action, path.string(), std::generic_category().message(error)));
}

Status MakeFolders(const std::filesystem::path& folder) {
  if (mkdir(folder.c_str(), kFolderMode) == 0 || errno == EEXIST) return {};
  const int error = errno;
  if (error != ENOENT || !folder.has_relative_path()) return FailWithErrno("create the folder", folder, error);
  AUTOGLM_TRY_VOID(MakeFolders(folder.parent_path()));
  // Another process may have been as quick.
  if (mkdir(folder.c_str(), kFolderMode) == 0 || errno == EEXIST) return {};
  return FailWithErrno("create the folder", folder, errno);
}

// A file that is being written, removed unless Publish succeeds. Locked, so that nobody takes it for abandoned.
class PartFile {
 public:
  static Result<PartFile> Create(const std::filesystem::path& target) {
    std::string name = target.string() + std::string(kPartExtension) + "XXXXXX";
    int fd = mkostemp(name.data(), O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
      AUTOGLM_TRY_VOID(MakeFolders(target.parent_path()));
      name = target.string() + std::string(kPartExtension) + "XXXXXX";
      fd = mkostemp(name.data(), O_CLOEXEC);
    }
    if (fd < 0) return FailWithErrno("create", name, errno);
    PartFile part(std::move(name), fd);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) return FailWithErrno("lock", part.path_, errno);
    return part;
  }
  PartFile(PartFile&& other) noexcept : path_(std::exchange(other.path_, {})), fd_(std::exchange(other.fd_, -1)) {}
  PartFile& operator=(PartFile&&) = delete;
  ~PartFile() {
    if (!path_.empty()) (void)unlink(path_.c_str());
    if (fd_ >= 0) (void)close(fd_);
  }

  Status Append(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t written = write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return FailWithErrno("write", path_, errno);
      bytes = bytes.subspan(static_cast<size_t>(written));
    }
    return {};
  }

  Status Publish(const std::filesystem::path& target) {
    if (rename(path_.c_str(), target.c_str()) != 0) return FailWithErrno("rename", path_, errno);
    path_.clear();
    return {};
  }

 private:
  PartFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  std::string path_;  // empty once published
  int fd_ = -1;
};

// A descriptor that closes itself.
class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& path) : fd_(open(path.c_str(), kFlags)) {}
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() {
    if (fd_ >= 0) (void)close(fd_);
  }
  int fd() const { return fd_; }

 private:
  // A pipe must not be waited for, a link not followed.
  static constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  int fd_ = -1;
};

Status WriteOnce(const std::filesystem::path& path, const Header& header, std::span<const std::byte> payload) {
  AUTOGLM_TRY(PartFile part, PartFile::Create(path));
  AUTOGLM_TRY_VOID(part.Append(std::as_bytes(std::span(&header, 1))));
  AUTOGLM_TRY_VOID(part.Append(payload));
  return part.Publish(path);
}

// False at the file's end and where the system refuses: errno is 0 in the first case.
bool Fill(int fd, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    errno = 0;
    const ssize_t num_read = read(fd, bytes.data(), bytes.size());
    if (num_read < 0 && errno == EINTR) continue;
    if (num_read <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(num_read));
  }
  return true;
}

}  // namespace

KvFingerprint KvFingerprint::Of(std::string_view text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return {.high = hash.high64, .low = hash.low64};
}

std::string KvFingerprint::Hex() const { return fmt::format("{:016x}{:016x}", high, low); }

Status BlockFiles::Write(const std::filesystem::path& path, const BlockIdentity& identity,
                         std::span<const std::byte> payload) const {
  const Header header = Header::Of(identity, payload);
  Status status = WriteOnce(path, header, payload);
  // Who deletes the folder just now may take the part file, too.
  for (int i = 0; i < kMaxVanishings && !status && status.error().code == ErrorCode::kNotFound; ++i) {
    status = WriteOnce(path, header, payload);
  }
  return status;
}

BlockRead BlockFiles::Read(const std::filesystem::path& path, const BlockIdentity& identity, std::span<std::byte> payload) const {
  const OpenFile file(path);
  if (file.fd() < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return BlockRead::kMissing;
    return errno == ELOOP ? BlockRead::kDamaged : BlockRead::kFailed;
  }
  struct stat info{};
  if (fstat(file.fd(), &info) != 0) return BlockRead::kFailed;
  if (!S_ISREG(info.st_mode) || info.st_size != kBlockFileHeaderBytes + std::ssize(payload)) return BlockRead::kDamaged;
  Header found;
  if (!Fill(file.fd(), std::as_writable_bytes(std::span(&found, 1))) || !Fill(file.fd(), payload)) {
    return errno == 0 ? BlockRead::kDamaged : BlockRead::kFailed;
  }
  return found == Header::Of(identity, payload) ? BlockRead::kRead : BlockRead::kDamaged;
}

void RemoveIfAbandoned(const std::filesystem::path& part) {
  const OpenFile file(part);
  struct stat info{};
  if (file.fd() < 0 || fstat(file.fd(), &info) != 0) return;
  // One that has just been made is not locked yet.
  if (std::abs(std::time(nullptr) - info.st_mtime) < kAbandonedAfterSeconds) return;
  if (flock(file.fd(), LOCK_EX | LOCK_NB) == 0) (void)unlink(part.c_str());
}

}  // namespace autoglm
