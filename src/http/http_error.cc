#include "http/http_error.h"

#include <fmt/format.h>

namespace autoglm::http {
namespace {

std::string_view ErrorType(int status) {
  switch (status) {
    case 408:
      return "timeout";
    case 500:
      return "server_error";
    case 503:
      return "overloaded";
    default:
      return "invalid_request_error";
  }
}

}  // namespace

Response RejectionResponse(const Rejection& rejection) {
  Response response;
  response.status = rejection.status;
  response.headers.emplace_back("Content-Type", "application/json");
  if (rejection.status == 503) response.headers.emplace_back("Retry-After", "1");
  response.body = fmt::format(R"({{"error":{{"message":"{}","type":"{}","param":null,"code":"{}"}}}})", rejection.message,
                              ErrorType(rejection.status), rejection.code);
  return response;
}

}  // namespace autoglm::http
