#include "base/text_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <istream>

namespace autoglm {
namespace {

constexpr size_t kChunkBytes = 1 << 16;

Result<std::string> ReadStream(std::istream& in, const std::string& name, int64_t max_bytes) {
  std::string text;
  while (in) {
    const size_t end = text.size();
    text.resize(end + kChunkBytes);
    in.read(text.data() + end, kChunkBytes);
    text.resize(end + static_cast<size_t>(in.gcount()));
    if (std::ssize(text) > max_bytes) {
      return Fail(ErrorCode::kPayloadTooLarge, name + " is larger than " + std::to_string(max_bytes) + " bytes");
    }
  }
  if (in.bad()) return Fail(ErrorCode::kIo, "cannot read " + name + ": " + std::strerror(errno));
  return text;
}

}  // namespace

Result<std::string> ReadTextFile(const std::filesystem::path& path, int64_t max_bytes) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return Fail(ErrorCode::kInvalidArgument, path.string() + " is a folder");
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    const ErrorCode code = errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
    return Fail(code, "cannot open " + path.string() + ": " + std::strerror(errno));
  }
  return ReadStream(file, path.string(), max_bytes);
}

Result<std::string> ReadTextFileOrStream(const std::filesystem::path& path, std::istream& in) {
  return path == "-" ? ReadStream(in, "standard input", kMaxTextBytes) : ReadTextFile(path);
}

}  // namespace autoglm
