#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>

#include "base/result.h"

namespace autoglm {

// A whole file, or all of `in` where the path is "-". At most 1 GiB. Errors: kNotFound, kIo, kPayloadTooLarge,
// kInvalidArgument for a folder.
Result<std::string> ReadTextFile(const std::filesystem::path& path);
Result<std::string> ReadTextFileOrStream(const std::filesystem::path& path, std::istream& in);

}  // namespace autoglm
