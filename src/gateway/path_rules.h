#pragma once

#include <string_view>

namespace autoglm::gateway {

// Whether a request's path says the same to everyone: no ".." or "." between slashes, no empty parts, no backslash, no parameters
// (";"), no fragment, nothing but ASCII, and none of these, nor what needs no escape, percent-encoded. What one server reads as
// /v1/models another may read as /admin.
bool IsPlainPath(std::string_view path);

}  // namespace autoglm::gateway
