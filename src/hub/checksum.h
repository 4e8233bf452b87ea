#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"

namespace autoglm {

// Of a file's contents, in lower-case hex. Errors: kNotFound, kIo.
Result<std::string> Sha256OfFile(const std::filesystem::path& path);
// As git names a blob: SHA-1 of "blob SIZE\0" and the contents.
Result<std::string> GitBlobSha1OfFile(const std::filesystem::path& path);

}  // namespace autoglm
