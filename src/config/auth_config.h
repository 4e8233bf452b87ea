#pragma once

#include <string_view>

#include "auth/authenticator.h"
#include "base/result.h"

namespace YAML {
class Node;
}

namespace autoglm {

// The sections of autoglm.yaml that say who may do what, for lists of known keys.
inline constexpr std::string_view kAuthSections = "policies, keys, jwt";
bool IsAuthSection(std::string_view key);

// Reads these sections of a configuration's root, in whatever order they stand; other keys are not looked at.
// Errors: kInvalidArgument, starting with "FILE:LINE: ".
Status ApplyAuthYaml(const YAML::Node& root, std::string_view file_name, AuthOptions& auth);

}  // namespace autoglm
