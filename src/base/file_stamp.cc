#include "base/file_stamp.h"

#include <sys/stat.h>

#include <cerrno>
#include <system_error>

namespace autoglm {

Result<std::optional<FileStamp>> FileStamp::Of(const std::filesystem::path& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) == 0) {
    return FileStamp{.device = info.st_dev,
                     .inode = info.st_ino,
                     .num_bytes = info.st_size,
                     .modified_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec};
  }
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  return Fail(ErrorCode::kIo, "cannot look at " + path.string() + ": " + std::generic_category().message(errno));
}

}  // namespace autoglm
