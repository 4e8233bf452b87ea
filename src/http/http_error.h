#pragma once

#include <string>
#include <string_view>

#include "http/server.h"

namespace autoglm::http {

// Why a request is refused before it reaches the handler. Code and message are our own words, never bytes of the peer, so
// they need no escaping.
struct Rejection {
  int status = 400;
  std::string_view code;
  std::string message;
};

// The rejection in OpenAI's error form.
Response RejectionResponse(const Rejection& rejection);

}  // namespace autoglm::http
