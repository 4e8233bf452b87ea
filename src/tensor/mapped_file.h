#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "base/result.h"

namespace autoglm {

// What tells a file from every other, and from itself before a change: the time of the last change of state cannot be set back.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t num_bytes = 0;
  int64_t modified_ns = 0;
  int64_t changed_ns = 0;

  bool operator==(const FileIdentity&) const = default;
};

// A file mapped read-only. Pages are read when first touched. The mapping ends with the object.
// A file that another program shortens while it is mapped ends this process (SIGBUS): replace model files, never truncate them.
class MappedFile {
 public:
  // Errors: kNotFound, kIo (with the system's reason), kInvalidArgument for a folder, pipe or device.
  static Result<MappedFile> Open(const std::filesystem::path& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }
  const FileIdentity& identity() const { return identity_; }  // when it was opened

  // Gives the pages of a range back to the page cache; touching them again reads them again.
  void DropPages(std::span<const std::byte> range) const;

 private:
  MappedFile(std::span<const std::byte> bytes, const FileIdentity& identity) : bytes_(bytes), identity_(identity) {}
  void Unmap();

  std::span<const std::byte> bytes_;
  FileIdentity identity_;
};

}  // namespace autoglm
