#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>

// Where tests find their files. Nothing here is compiled in, so that a compiler cache serves every checkout.
namespace autoglm {

// The repository: $AUTOGLM_SOURCE_DIR (ctest sets it), else the nearest folder above the working directory that looks like it.
inline std::filesystem::path SourceDir() {
  if (const char* variable = std::getenv("AUTOGLM_SOURCE_DIR")) return variable;
  std::filesystem::path folder = std::filesystem::current_path();
  while (folder.has_relative_path() && !std::filesystem::exists(folder / "src" / "layers.txt")) folder = folder.parent_path();
  return folder;
}

// A file of tests/golden, which is part of the repository; `relative` as in "smollm2/expected.json".
inline std::filesystem::path GoldenFile(std::string_view relative) { return SourceDir() / "tests" / "golden" / relative; }

// A file or folder of the parity fixtures, which are no part of the repository: below $AUTOGLM_PARITY, else below a folder
// `shared/parity` beside the repository. A test that needs them skips, with a message, where this is empty.
inline std::optional<std::filesystem::path> ParityFile(std::string_view relative) {
  const char* variable = std::getenv("AUTOGLM_PARITY");
  const std::filesystem::path folder = variable != nullptr ? variable : SourceDir().parent_path() / "shared" / "parity";
  std::error_code error;
  if (!std::filesystem::exists(folder / relative, error)) return std::nullopt;
  return folder / relative;
}

// A model in the cache folder, $XDG_CACHE_HOME/autoglm. Models are no part of the repository, so a test that needs one skips,
// with a message, where this is empty.
inline std::optional<std::filesystem::path> CachedModel(std::string_view name) {
  std::filesystem::path cache;
  if (const char* folder = std::getenv("XDG_CACHE_HOME"); folder != nullptr && *folder != '\0') {
    cache = folder;
  } else if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    cache = std::filesystem::path(home) / ".cache";
  } else {
    return std::nullopt;
  }
  std::error_code error;
  if (!std::filesystem::is_regular_file(cache / "autoglm" / name, error)) return std::nullopt;
  return cache / "autoglm" / name;
}

// SmolLM2-135M-Instruct.Q4_1.gguf: $AUTOGLM_TEST_MODEL, else the cache folder that ./run and ./test fill.
inline std::optional<std::filesystem::path> TestModel() {
  const char* variable = std::getenv("AUTOGLM_TEST_MODEL");
  if (variable == nullptr || *variable == '\0') return CachedModel("SmolLM2-135M-Instruct.Q4_1.gguf");
  std::error_code error;
  if (!std::filesystem::is_regular_file(variable, error)) return std::nullopt;
  return variable;
}

}  // namespace autoglm
