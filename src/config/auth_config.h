#pragma once

#include <string_view>

#include "auth/authenticator.h"
#include "base/result.h"
#include "config/yaml_value.h"

namespace autoglm {

// The sections of autoglm.yaml and gateway.yaml that say who may do what, for lists of known keys.
inline constexpr std::string_view kAuthSections = "policies, keys, jwt";
bool IsAuthSection(std::string_view key);

// Reads these sections of a configuration's root, in whatever order they stand; other keys are not looked at.
// Errors: kInvalidArgument, starting with "FILE:LINE: ".
Status ApplyAuthYaml(const YamlValue& root, AuthOptions& auth);

}  // namespace autoglm
