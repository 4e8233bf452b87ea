#include "base/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/check.h"

namespace autoglm {
namespace {

constexpr int kNamesTried = 100;            // left behind by processes that were killed
constexpr size_t kWriteBytesMax = 1 << 30;  // the kernel takes at most 2 GB at once

// Unique within the machine as long as the process lives.
std::filesystem::path TemporaryName(const std::filesystem::path& target) {
  static std::atomic<int> num_names = 0;
  return target.parent_path() /
         ("." + target.filename().string() + "." + std::to_string(getpid()) + "." + std::to_string(num_names++) + ".tmp");
}

// A new name in a folder is on the disk once the folder is.
int SyncFolder(const std::filesystem::path& folder) {
  const int fd = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error = fsync(fd) == 0 ? 0 : errno;
  close(fd);
  return error == EINVAL ? 0 : error;  // file systems without it
}

}  // namespace

Result<AtomicFile> AtomicFile::Create(const std::filesystem::path& target, mode_t mode) {
  AtomicFile file;
  file.target_ = target;
  for (int i = 0; i < kNamesTried && file.fd_ < 0; ++i) {
    const auto name = TemporaryName(target);
    file.fd_ = open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (file.fd_ >= 0) file.temporary_ = name;
    if (file.fd_ < 0 && errno != EEXIST) break;
  }
  if (file.fd_ < 0) return file.FailWithErrno("create", errno);
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept { *this = std::move(other); }

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  if (this == &other) return *this;
  GiveUp();
  target_ = std::move(other.target_);
  temporary_ = std::exchange(other.temporary_, {});
  fd_ = std::exchange(other.fd_, -1);
  num_bytes_ = other.num_bytes_;
  reserved_bytes_ = other.reserved_bytes_;
  return *this;
}

AtomicFile::~AtomicFile() { GiveUp(); }

void AtomicFile::GiveUp() {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
  if (!temporary_.empty()) unlink(temporary_.c_str());
  temporary_.clear();
}

tl::unexpected<Error> AtomicFile::FailWithErrno(const char* action, int error) const {
  return Fail(error == ENOENT || error == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kIo,
              "cannot " + std::string(action) + " " + target_.string() + ": " + std::generic_category().message(error));
}

Status AtomicFile::Reserve(int64_t num_bytes) {
  AUTOGLM_CHECK(fd_ >= 0 && num_bytes >= 0);
  if (num_bytes == 0 || fallocate(fd_, 0, 0, num_bytes) == 0) {
    reserved_bytes_ = num_bytes;
    return {};
  }
  if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINTR) return {};
  return FailWithErrno(("reserve " + std::to_string(num_bytes) + " bytes for").c_str(), errno);
}

Status AtomicFile::Write(std::span<const std::byte> bytes) {
  AUTOGLM_CHECK(fd_ >= 0);
  while (!bytes.empty()) {
    const ssize_t num_written = write(fd_, bytes.data(), std::min(bytes.size(), kWriteBytesMax));
    if (num_written < 0 && errno == EINTR) continue;
    if (num_written < 0) return FailWithErrno("write", errno);
    num_bytes_ += num_written;
    bytes = bytes.subspan(static_cast<size_t>(num_written));
  }
  return {};
}

Status AtomicFile::Commit() {
  AUTOGLM_CHECK(fd_ >= 0);
  if (reserved_bytes_ > num_bytes_ && ftruncate(fd_, num_bytes_) != 0) return FailWithErrno("shorten", errno);
  if (fsync(fd_) != 0) return FailWithErrno("write", errno);
  if (close(std::exchange(fd_, -1)) != 0) return FailWithErrno("write", errno);
  if (rename(temporary_.c_str(), target_.c_str()) != 0) return FailWithErrno("replace", errno);
  temporary_.clear();
  if (const int error = SyncFolder(target_.parent_path()); error != 0) return FailWithErrno("write the folder of", error);
  return {};
}

}  // namespace autoglm
