#include "gateway/continuation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "json/json.h"

namespace autoglm::gateway {

std::string ContinuationMembers(const StreamRelay& relay) {
  std::string_view info = relay.stream_info();
  if (info.ends_with('}')) info.remove_suffix(1);
  return fmt::format("\"autoglm_continue\":{},\"token_ids\":[{}],\"text_bytes\":{}}},", info, fmt::join(relay.tokens(), ","),
                     relay.text_bytes());
}

std::string JsonText(std::string_view text) {
  std::string quoted = "\"";
  AppendJsonEscaped(quoted, text);
  return quoted + '"';
}

}  // namespace autoglm::gateway
