#pragma once

#include <span>
#include <string_view>

namespace autoglm {

// A file of static/, or one of a library's that pages need.
struct ConsoleAsset {
  std::string_view name;  // "index.html"
  std::string_view content;
};

// Written while building: tools/embed_files.py.
std::span<const ConsoleAsset> ConsoleAssets();

}  // namespace autoglm
