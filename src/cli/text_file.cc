#include "cli/text_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <istream>

namespace autoglm {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 30;
constexpr size_t kChunkBytes = 1 << 16;

Result<std::string> ReadStream(std::istream& in, const std::string& name) {
  std::string text;
  while (in) {
    const size_t end = text.size();
    text.resize(end + kChunkBytes);
    in.read(text.data() + end, kChunkBytes);
    text.resize(end + static_cast<size_t>(in.gcount()));
    if (text.size() > kMaxBytes) return Fail(ErrorCode::kPayloadTooLarge, fmt::format("{} is larger than 1 GiB", name));
  }
  if (in.bad()) return Fail(ErrorCode::kIo, fmt::format("cannot read {}: {}", name, std::strerror(errno)));
  return text;
}

}  // namespace

Result<std::string> ReadTextFile(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("{} is a folder", path.string()));
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    const ErrorCode code = errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
    return Fail(code, fmt::format("cannot open {}: {}", path.string(), std::strerror(errno)));
  }
  return ReadStream(file, path.string());
}

Result<std::string> ReadTextFileOrStream(const std::filesystem::path& path, std::istream& in) {
  return path == "-" ? ReadStream(in, "standard input") : ReadTextFile(path);
}

}  // namespace autoglm
