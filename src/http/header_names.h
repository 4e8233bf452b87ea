#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace autoglm::http {

// ASCII only, as names of headers are.
std::string LowerCase(std::string_view text);

// Of one connection and not of the message (RFC 9110 section 7.6.1), or about its framing: whoever passes a message on must leave
// it out. `name` in lower case.
bool IsHopByHop(std::string_view name);

// Appends a name or a value to a head. A line break in it would begin a line of a stranger's choice, and becomes a space.
void AppendHeaderText(std::string_view text, std::string& out);
// "name: value" with its line break, so too.
void AppendHeaderLine(std::string_view name, std::string_view value, std::string& out);

inline constexpr size_t kUsualHeadBytes = 768;

}  // namespace autoglm::http
