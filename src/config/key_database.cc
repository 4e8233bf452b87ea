#include "config/key_database.h"

#include <cstdlib>

namespace autoglm {

std::filesystem::path DefaultKeyDatabase() {
  const char* state = std::getenv("XDG_STATE_HOME");
  // Relative paths are to be ignored, says the XDG specification.
  if (state != nullptr && *state == '/') return std::filesystem::path(state) / "autoglm" / "keys.db";
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home == nullptr ? "/" : home) / ".local" / "state" / "autoglm" / "keys.db";
}

Result<std::optional<std::filesystem::path>> ParseKeyDatabase(std::string_view text) {
  if (text == "auto") return DefaultKeyDatabase();
  if (text == "off") return std::nullopt;
  if (text.empty()) return Fail(ErrorCode::kInvalidArgument, "must be auto, off or a file");
  return std::filesystem::path(text);
}

}  // namespace autoglm
