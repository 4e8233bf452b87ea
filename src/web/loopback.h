#pragma once

#include <string_view>

namespace autoglm {

// Whether only this machine can reach the address.
bool IsLoopback(std::string_view host);

}  // namespace autoglm
