#pragma once

#include <string>

#include "base/result.h"
#include "json/json.h"

namespace autoglm {

// Checks one entry of "messages" and returns it as chat templates expect it: an object with
//   role               system | user | assistant | tool ("developer" becomes system, "function" becomes tool)
//   content            always a string: text parts are joined by line feeds, null becomes ""
//   tool_calls         where given, with each function's arguments as an object instead of a JSON string
//   name, tool_call_id, reasoning_content   where given
// `path` is its place, as "messages[2]". Errors: kInvalidArgument naming the field; kUnsupported for images, audio and files.
Result<Json> NormaliseChatMessage(const Json& message, const std::string& path);

// Checks "tools": a list of {type: "function", function: {name, ...}}.
Status CheckTools(const Json& tools);

}  // namespace autoglm
