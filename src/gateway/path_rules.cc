#include "gateway/path_rules.h"

#include <simdjson.h>

#include <algorithm>
#include <string>

#include "web/url.h"

namespace autoglm::gateway {
namespace {

// Needs no escape, so one that has it is to look like something else: RFC 3986 section 2.3.
bool IsUnreserved(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
         c == '~';
}

bool IsControl(unsigned char c) { return c < 0x20 || c == 0x7f; }

// A part's parameters, a query, a fragment, another part: some servers decode a path before they take it apart, some after.
bool IsStructure(char c) { return std::string_view("/\\%;?#").find(c) != std::string_view::npos; }

// A valid escape that stands for a character which needs none, or for one that decides about structure, or no escape at all.
bool HasTrickyEscape(std::string_view path) {
  for (size_t at = path.find('%'); at != std::string_view::npos; at = path.find('%', at + 1)) {
    const std::string decoded = PercentDecode(path.substr(at, 3));
    if (decoded.size() != 1) return true;
    const auto byte = static_cast<unsigned char>(decoded.front());
    if (IsControl(byte) || IsUnreserved(byte) || IsStructure(decoded.front())) return true;
  }
  return false;
}

// Overlong forms of UTF-8 hide a dot or a slash from whoever reads strictly.
bool IsUtf8(const std::string& text) { return simdjson::validate_utf8(text.data(), text.size()); }

}  // namespace

bool IsPlainPath(std::string_view path) {
  if (!path.starts_with('/') || path.find("//") != std::string_view::npos) return false;
  // What may stand in a path, RFC 3986 section 3.3, but for the parameters.
  if (std::ranges::any_of(path, [](char c) { return c <= ' ' || c >= 0x7f || c == '\\' || c == ';' || c == '#'; })) return false;
  for (size_t begin = 1; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part == "." || part == "..") return false;
    begin = end + 1;
  }
  return !HasTrickyEscape(path) && IsUtf8(PercentDecode(path));
}

}  // namespace autoglm::gateway
