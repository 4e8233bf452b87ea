#include "gateway/path_rules.h"

#include <algorithm>
#include <string>

#include "web/url.h"

namespace autoglm::gateway {
namespace {

// A valid escape that stands for a character which needs none, or for one that decides about structure.
bool HasTrickyEscape(std::string_view path) {
  for (size_t at = path.find('%'); at != std::string_view::npos; at = path.find('%', at + 1)) {
    const std::string decoded = PercentDecode(path.substr(at, 3));
    if (decoded.size() != 1) return true;  // no escape at all
    const auto byte = static_cast<unsigned char>(decoded.front());
    if (byte < 0x20 || byte == 0x7f || decoded == "/" || decoded == "\\" || decoded == "." || decoded == "%") return true;
  }
  return false;
}

}  // namespace

bool IsPlainPath(std::string_view path) {
  if (!path.starts_with('/') || path.find("//") != std::string_view::npos || path.find('\\') != std::string_view::npos)
    return false;
  if (std::ranges::any_of(path, [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7f; })) return false;
  for (size_t begin = 1; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part == "." || part == "..") return false;
    begin = end + 1;
  }
  return !HasTrickyEscape(path);
}

}  // namespace autoglm::gateway
