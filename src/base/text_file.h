#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>

#include "base/result.h"

namespace autoglm {

inline constexpr int64_t kMaxTextBytes = int64_t{1} << 30;

// A whole file, or all of `in` where the path is "-". Errors: kNotFound, kIo, kPayloadTooLarge, kInvalidArgument for a
// folder.
Result<std::string> ReadTextFile(const std::filesystem::path& path, int64_t max_bytes = kMaxTextBytes);
Result<std::string> ReadTextFileOrStream(const std::filesystem::path& path, std::istream& in);

}  // namespace autoglm
