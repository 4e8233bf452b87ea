#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/yaml_value.h"
#include "server/public_prefixes.h"

namespace autoglm {

inline constexpr std::string_view kPublicPrefixesKey = "public_prefixes";

// Reads the list under public_prefixes and the files that it names, relative to the folder of `file_name`.
// Errors: kInvalidArgument, starting with "FILE:LINE: ".
Status ApplyPublicPrefixes(const YamlValue& list, std::string_view file_name, std::vector<PublicPrefix>& prefixes);

}  // namespace autoglm
