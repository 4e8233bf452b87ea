#include "openai/error.h"

#include "json/json.h"

namespace autoglm {
namespace {

struct Mapping {
  int status;
  const char* type;
  const char* code;
};

Mapping MappingOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return {400, "invalid_request_error", ""};
    case ErrorCode::kContextLengthExceeded:
      return {400, "invalid_request_error", "context_length_exceeded"};
    case ErrorCode::kUnsupported:
      return {400, "invalid_request_error", "unsupported"};
    case ErrorCode::kUnauthenticated:
      return {401, "authentication_error", "invalid_api_key"};
    case ErrorCode::kPermissionDenied:
      return {403, "permission_error", "permission_denied"};
    case ErrorCode::kNotFound:
      return {404, "invalid_request_error", "not_found"};
    case ErrorCode::kPayloadTooLarge:
      return {413, "invalid_request_error", "payload_too_large"};
    case ErrorCode::kResourceExhausted:
      return {429, "rate_limit_error", "rate_limit_exceeded"};
    case ErrorCode::kCancelled:
      return {499, "cancelled", "cancelled"};
    case ErrorCode::kUnavailable:
      return {503, "overloaded", "unavailable"};
    case ErrorCode::kDeadlineExceeded:
      return {504, "timeout", "deadline_exceeded"};
    case ErrorCode::kInternal:
    case ErrorCode::kCorruptFile:
    case ErrorCode::kIo:
      break;
  }
  return {500, "server_error", "internal_error"};
}

// A message may quote what the client sent, which may be as long as a body.
constexpr size_t kMaxMessageBytes = 1024;

std::string CutMessage(std::string message) {
  if (message.size() <= kMaxMessageBytes) return message;
  const auto is_inside_character = [&](size_t i) { return (static_cast<unsigned char>(message[i]) & 0xC0) == 0x80; };
  size_t end = kMaxMessageBytes;
  while (end > kMaxMessageBytes - 4 && is_inside_character(end)) --end;
  return message.substr(0, end) + "...";
}

Json NullIfEmpty(const std::string& text) { return text.empty() ? Json() : Json(text); }

}  // namespace

ErrorBody ErrorBodyOf(const Error& error) {
  const Mapping mapping = MappingOf(error.code);
  ErrorBody body{.status = mapping.status,
                 .message = CutMessage(error.message),
                 .type = mapping.type,
                 .param = error.param,
                 .code = mapping.code};
  if (error.code == ErrorCode::kNotFound && error.param == "model") body.code = "model_not_found";
  return body;
}

std::string ErrorJson(const ErrorBody& body) {
  return DumpJson(
      {{"error",
        {{"message", body.message}, {"type", body.type}, {"param", NullIfEmpty(body.param)}, {"code", NullIfEmpty(body.code)}}}});
}

}  // namespace autoglm
