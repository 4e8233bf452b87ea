#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "base/result.h"

namespace autoglm {

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

  // Gives the pages of a range back to the page cache; touching them again reads them again.
  void DropPages(std::span<const std::byte> range) const;

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  void Unmap();

  std::span<const std::byte> bytes_;
};

}  // namespace autoglm
