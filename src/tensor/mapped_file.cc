#include "tensor/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/check.h"

namespace autoglm {
namespace {

// Closes a descriptor at the end of its scope; a mapping outlives the descriptor it was made from.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int fd() const { return fd_; }

 private:
  const int fd_;
};

tl::unexpected<Error> FailWithErrno(std::string_view action, const std::filesystem::path& path, int error) {
  const bool is_missing = error == ENOENT || error == ENOTDIR;
  return Fail(is_missing ? ErrorCode::kNotFound : ErrorCode::kIo,
              "cannot " + std::string(action) + " " + path.string() + ": " + std::generic_category().message(error));
}

int64_t Nanoseconds(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

FileIdentity IdentityOf(const struct stat& info) {
  return {.device = info.st_dev,
          .inode = info.st_ino,
          .num_bytes = static_cast<uint64_t>(info.st_size),
          .modified_ns = Nanoseconds(info.st_mtim),
          .changed_ns = Nanoseconds(info.st_ctim)};
}

}  // namespace

Result<MappedFile> MappedFile::Open(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a pipe must not wait for its writer, it is refused below.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd() < 0) return FailWithErrno("open", path, errno);

  struct stat info{};
  if (fstat(file.fd(), &info) != 0) return FailWithErrno("read the size of", path, errno);
  if (S_ISDIR(info.st_mode)) return Fail(ErrorCode::kInvalidArgument, path.string() + " is a folder, not a file");
  if (!S_ISREG(info.st_mode)) return Fail(ErrorCode::kInvalidArgument, path.string() + " is not a regular file");

  // mmap refuses a length of 0.
  if (info.st_size == 0) return MappedFile(std::span<const std::byte>(), IdentityOf(info));
  const auto num_bytes = static_cast<size_t>(info.st_size);
  void* address = mmap(nullptr, num_bytes, PROT_READ, MAP_PRIVATE, file.fd(), 0);
  if (address == MAP_FAILED) return FailWithErrno("map", path, errno);
  return MappedFile(std::span(static_cast<const std::byte*>(address), num_bytes), IdentityOf(info));
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})), identity_(other.identity_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this == &other) return *this;
  Unmap();
  bytes_ = std::exchange(other.bytes_, {});
  identity_ = other.identity_;
  return *this;
}

MappedFile::~MappedFile() { Unmap(); }

void MappedFile::Unmap() {
  if (!bytes_.empty()) AUTOGLM_CHECK(munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size()) == 0);
}

void MappedFile::DropPages(std::span<const std::byte> range) const {
  if (range.empty()) return;
  AUTOGLM_CHECK(range.data() >= bytes_.data() && range.data() + range.size() <= bytes_.data() + bytes_.size());

  // Rounded outwards: a neighbour on the first or last page only pays for reading it again. The mapping itself begins at a
  // page, so the range stays inside it, and the kernel rounds its end.
  const auto page_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t begin = static_cast<size_t>(range.data() - bytes_.data()) / page_bytes * page_bytes;
  const size_t end = static_cast<size_t>(range.data() - bytes_.data()) + range.size();
  // Advice only: where the kernel refuses (locked pages), the pages just stay.
  (void)madvise(const_cast<std::byte*>(bytes_.data()) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace autoglm
