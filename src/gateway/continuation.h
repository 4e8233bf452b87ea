#pragma once

#include <string>
#include <string_view>

#include "gateway/stream_relay.h"

namespace autoglm::gateway {

// What is put first into a request's body, so that another of our engines goes on with a stream: "\"autoglm_continue\":{...},".
std::string ContinuationMembers(const StreamRelay& relay);

// A JSON string.
std::string JsonText(std::string_view text);

}  // namespace autoglm::gateway
