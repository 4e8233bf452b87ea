#include "gateway/header_match.h"

#include <algorithm>

#include "base/name_pattern.h"

namespace autoglm::gateway {

bool FitsAny(std::string_view name, const std::vector<std::string>& patterns) {
  if (patterns.empty()) return true;
  return std::ranges::any_of(patterns, [name](const std::string& pattern) { return FitsPattern(name, pattern); });
}

bool HeadersFit(const http::Request& request, const std::vector<std::pair<std::string, std::string>>& patterns) {
  return std::ranges::all_of(patterns, [&request](const auto& wanted) {
    return std::ranges::any_of(request.headers, [&wanted](const auto& header) {
      return header.first == wanted.first && FitsPattern(header.second, wanted.second);
    });
  });
}

}  // namespace autoglm::gateway
