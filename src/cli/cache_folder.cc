#include "cli/cache_folder.h"

#include <cstdlib>

namespace autoglm {
namespace {

Result<std::filesystem::path> ParseFolder(std::string_view text, std::string_view name) {
  if (text == "auto") return CacheFolder() / name;
  if (text == "off") return std::filesystem::path();
  if (text.empty()) return Fail(ErrorCode::kInvalidArgument, "must be auto, off or a folder");
  return std::filesystem::path(text);
}

}  // namespace

std::filesystem::path CacheFolder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  // Relative paths are to be ignored, says the XDG specification.
  if (cache != nullptr && *cache == '/') return std::filesystem::path(cache) / "autoglm";
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home == nullptr ? "/" : home) / ".cache" / "autoglm";
}

Result<std::filesystem::path> ParsePreparedCache(std::string_view text) { return ParseFolder(text, "prepared"); }
Result<std::filesystem::path> ParseKvDisk(std::string_view text) { return ParseFolder(text, "kv"); }

}  // namespace autoglm
