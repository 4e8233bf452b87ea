#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace autoglm {

// Whether one connects to a ZeroMQ endpoint, because its host is a name and so somebody else is bound there; one binds to "*", to
// an address, and to what is no TCP.
bool IsConnectedTo(std::string_view endpoint);

// Where the model number `index` of one server sends what the first sends to `endpoint`: at the port that is so much higher, or
// under a name that ends in the number, as vLLM's data-parallel ranks do.
std::string EndpointOfModel(std::string_view endpoint, int64_t index);

}  // namespace autoglm
