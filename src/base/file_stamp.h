#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "base/result.h"

namespace autoglm {

// Tells one file from another, and one state of a file from the next.
struct FileStamp {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t num_bytes = 0;
  int64_t modified_ns = 0;

  // nullopt where there is no such file. Errors: kIo.
  static Result<std::optional<FileStamp>> Of(const std::filesystem::path& path);

  bool IsSameFile(const FileStamp& other) const { return device == other.device && inode == other.inode; }
  bool operator==(const FileStamp&) const = default;
};

}  // namespace autoglm
