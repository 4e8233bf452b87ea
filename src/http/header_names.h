#pragma once

#include <string>
#include <string_view>

namespace autoglm::http {

// ASCII only, as names of headers are.
std::string LowerCase(std::string_view text);

// Of one connection and not of the message (RFC 9110 section 7.6.1), or about its framing: whoever passes a message on must leave
// it out. `name` in lower case.
bool IsHopByHop(std::string_view name);

}  // namespace autoglm::http
