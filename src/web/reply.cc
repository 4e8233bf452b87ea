#include "web/reply.h"

#include <chrono>
#include <utility>

#include "openai/error.h"

namespace autoglm {

http::Response JsonReply(int status, std::string body) { return TextReply(status, std::move(body), "application/json"); }

http::Response TextReply(int status, std::string body, std::string content_type) {
  return {.status = status, .headers = {{"Content-Type", std::move(content_type)}}, .body = std::move(body)};
}

http::Response ErrorReply(const Error& error, int64_t retry_after_seconds) {
  const ErrorBody body = ErrorBodyOf(error);
  http::Response response = JsonReply(body.status, ErrorJson(body));
  if (body.status == 401) response.headers.emplace_back("WWW-Authenticate", R"(Bearer realm="autoglm")");
  const bool is_over_later = (body.status == 429 || body.status == 503) && retry_after_seconds > 0;
  if (is_over_later) response.headers.emplace_back("Retry-After", std::to_string(retry_after_seconds));
  return response;
}

void ReplyChannel::AddCommonHeaders(http::Response& response, TimePoint now) const {
  const auto processing = std::chrono::duration_cast<std::chrono::milliseconds>(now - accepted);
  response.headers.insert(response.headers.end(), headers.begin(), headers.end());
  response.headers.emplace_back("x-request-id", request_id);
  response.headers.emplace_back("openai-processing-ms", std::to_string(processing.count()));
}

}  // namespace autoglm
