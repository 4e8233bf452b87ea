#include "config/tracing_config.h"

#include <fmt/format.h>

#include "http/client.h"

namespace autoglm {

Result<std::string> ParseCollectorUrl(const std::string& text) {
  const size_t scheme = text.find("://");
  const size_t slash = scheme == std::string::npos ? scheme : text.find('/', scheme + 3);
  AUTOGLM_TRY_VOID(http::Origin::Parse(std::string_view(text).substr(0, slash)));
  return text;
}

Result<bool> ParseIsOtlpJson(const std::string& text) {
  if (text == "json" || text == "protobuf") return text == "json";
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must be protobuf or json, not '{}'", text));
}

}  // namespace autoglm
