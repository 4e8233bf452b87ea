#include "weights/json_events.h"

#include <utility>

namespace autoglm {

Status JsonEvents::Read(std::string_view text, std::string_view what, JsonEvents& events) {
  // The parser takes a NUL byte for the end, and would not see what comes behind it.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return Fail(ErrorCode::kCorruptFile, std::string(what) + ": the JSON is broken at byte " + std::to_string(nul));
  }
  // Without exceptions: nlohmann reports through parse_error.
  if (Json::sax_parse(text.begin(), text.end(), &events)) return {};
  if (events.message_.empty()) events.message_ = std::string(what) + " is no valid JSON";
  return Fail(ErrorCode::kCorruptFile, events.message_);
}

bool JsonEvents::parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) {
  return Refuse(Place() + ": the JSON is broken at byte " + std::to_string(position));
}

bool JsonEvents::Refuse(std::string message) {
  if (message_.empty()) message_ = std::move(message);
  return false;
}

bool JsonEvents::Unexpected(std::string_view found) {
  return Refuse(Place() + " has " + std::string(found) + " where it may not");
}

}  // namespace autoglm
