#include "config/tracing_config.h"

#include <fmt/format.h>

#include "http/client.h"

namespace autoglm {

std::string_view OriginOfUrl(std::string_view url) {
  const size_t scheme = url.find("://");
  return scheme == std::string_view::npos ? url : url.substr(0, url.find('/', scheme + 3));
}

Result<std::string> ParseCollectorUrl(const std::string& text) {
  AUTOGLM_TRY_VOID(http::Origin::Parse(OriginOfUrl(text)));
  return text;
}

Result<bool> ParseIsOtlpJson(const std::string& text) {
  if (text == "json" || text == "protobuf") return text == "json";
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must be protobuf or json, not '{}'", text));
}

}  // namespace autoglm
