#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace autoglm {

inline constexpr int64_t kMaxYamlBytes = 1 << 20;

// kInvalidArgument with "FILE:LINE: " in front.
tl::unexpected<Error> FailAt(std::string_view file_name, const YAML::Mark& mark, std::string_view what);

// The one document of a file; null where there is none. Walking it takes bounded time and depth: refused are aliases that stand
// for too much, or for what they stand in, and what is no text. Errors: kInvalidArgument with "FILE:LINE: ".
Result<YAML::Node> LoadYaml(const std::string& yaml, std::string_view file_name);

}  // namespace autoglm
