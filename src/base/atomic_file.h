#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "base/result.h"

namespace autoglm {

// A file that appears whole or not at all: bytes go to a temporary file beside the target, and Commit gives it the target's name
// once they are on the disk. Without Commit, the temporary file goes with the object and the target stays as it was.
class AtomicFile {
 public:
  // `mode` is what others may do with it, less the process's mask. Errors: kNotFound for a missing folder, kIo with the system's
  // reason.
  static Result<AtomicFile> Create(const std::filesystem::path& target, mode_t mode = 0666);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) noexcept;
  ~AtomicFile();

  // Takes the space for a file of this size, so that a full disk is known before the work. Where the file system cannot, writing
  // will tell. Errors: kIo.
  Status Reserve(int64_t num_bytes);
  // Appends. Errors: kIo, such as a full disk; the file can then only be given up.
  Status Write(std::span<const std::byte> bytes);
  // Replaces the target, if there is one. The last call. Errors: kIo.
  Status Commit();

  int64_t num_bytes() const { return num_bytes_; }

 private:
  AtomicFile() = default;

  tl::unexpected<Error> FailWithErrno(const char* action, int error) const;
  void GiveUp();

  std::filesystem::path target_;
  std::filesystem::path temporary_;  // empty once committed or moved from
  int fd_ = -1;
  int64_t num_bytes_ = 0;
  int64_t reserved_bytes_ = 0;
};

}  // namespace autoglm
