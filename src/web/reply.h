#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/server.h"

namespace autoglm {

http::Response JsonReply(int status, std::string body);
http::Response TextReply(int status, std::string body, std::string content_type);
// In OpenAI's form. A request that may be tried again (429, 503) gets Retry-After, unless that is 0: waiting does not help. One
// that lacks credentials (401) is told which.
http::Response ErrorReply(const Error& error, int64_t retry_after_seconds);

// The way back to the client of one request, with the headers that every answer carries.
struct ReplyChannel {
  std::shared_ptr<http::Exchange> exchange;
  std::string request_id;
  TimePoint accepted;
  std::vector<std::pair<std::string, std::string>> headers = {};  // more that are this answer's own

  // These, x-request-id and openai-processing-ms.
  void AddCommonHeaders(http::Response& response, TimePoint now) const;
};

}  // namespace autoglm
