#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace autoglm {

using TokenId = int32_t;

// What went wrong, from the point of view of whoever caused it. openai/error.h maps each to an HTTP status.
enum class ErrorCode {
  kInvalidArgument,        // 400: the caller must change the request
  kContextLengthExceeded,  // 400
  kUnauthenticated,        // 401
  kPermissionDenied,       // 403
  kNotFound,               // 404
  kPayloadTooLarge,        // 413
  kResourceExhausted,      // 429: try again later
  kCancelled,              // 499: the caller went away
  kInternal,               // 500
  kUnavailable,            // 503: draining or not yet ready
  kDeadlineExceeded,       // 504
  kCorruptFile,            // a file breaks its format
  kUnsupported,            // a valid file or request that asks for something not built
  kIo,                     // the operating system refused; the message has its reason
};

std::string_view ErrorCodeName(ErrorCode code);

// A failure a user, a peer or a file can cause. The message says what to do about it.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  std::string param = {};  // the request field at fault, or empty
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> Fail(ErrorCode code, std::string message, std::string param = {}) {
  return tl::unexpected<Error>(Error{code, std::move(message), std::move(param)});
}

}  // namespace autoglm

// AUTOGLM_TRY(const auto x, F()): x = *F(), or return F's error from this function.
#define AUTOGLM_CONCAT_INNER(a, b) a##b
#define AUTOGLM_CONCAT(a, b) AUTOGLM_CONCAT_INNER(a, b)
#define AUTOGLM_TRY_INNER(tmp, declaration, expression)                      \
  auto tmp = (expression);                                                   \
  if (!tmp) return tl::unexpected<::autoglm::Error>(std::move(tmp).error()); \
  declaration = *std::move(tmp)
#define AUTOGLM_TRY(declaration, expression) AUTOGLM_TRY_INNER(AUTOGLM_CONCAT(autoglm_try_, __LINE__), declaration, expression)
#define AUTOGLM_TRY_VOID(expression)                                              \
  do {                                                                            \
    if (auto autoglm_status = (expression); !autoglm_status)                      \
      return tl::unexpected<::autoglm::Error>(std::move(autoglm_status).error()); \
  } while (false)
