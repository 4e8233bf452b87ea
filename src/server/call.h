#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "auth/principal.h"
#include "http/server.h"
#include "web/reply.h"

namespace autoglm {

// One HTTP request, who sent it, and the way back.
struct Call {
  std::shared_ptr<const http::Request> request;
  std::string path;  // decoded
  ReplyChannel channel;
  std::string_view route;                           // in metrics and logs
  std::shared_ptr<const Principal> principal = {};  // of routes that ask who it is
};

}  // namespace autoglm
