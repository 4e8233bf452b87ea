#pragma once

#include <yaml-cpp/yaml.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace autoglm {

// kInvalidArgument with "FILE:LINE: " in front.
tl::unexpected<Error> FailAt(std::string_view file_name, const YAML::Mark& mark, std::string_view what);

// One plain value, or a list of them where that is allowed. Errors: kInvalidArgument, to be put behind the key's name.
Result<std::string> ScalarValue(const YAML::Node& node);
Result<std::vector<std::string>> ScalarValues(const YAML::Node& node);

// Calls `set` for every line "key: value" of a map; what it refuses gets its place and the key in front. Refuses what is no map
// and a key that stands there twice. `what` names the map in messages.
Status ForEachField(const YAML::Node& map, std::string_view file_name, std::string_view what,
                    const std::function<Status(const std::string& key, const YAML::Node& value)>& set);

}  // namespace autoglm
