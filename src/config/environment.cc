#include "config/environment.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace autoglm {
namespace {

bool IsName(std::string_view text) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !text.empty() && is_letter(text[0]) &&
         std::ranges::all_of(text, [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

}  // namespace

Result<std::string> PutEnvironmentIn(std::string_view text) {
  std::string out;
  while (true) {
    const size_t begin = text.find("${");
    out += text.substr(0, begin);
    if (begin == std::string_view::npos) return out;
    const bool is_escaped = begin > 0 && text[begin - 1] == '$';
    text.remove_prefix(begin + 2);
    if (is_escaped) {
      out += '{';
      continue;
    }
    const size_t end = text.find('}');
    const std::string name(text.substr(0, end));
    if (end == std::string_view::npos || !IsName(name)) {
      return Fail(ErrorCode::kInvalidArgument, "'${' needs a variable's name and '}' behind it; '$${' stands for '${' itself");
    }
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) {
      return Fail(ErrorCode::kInvalidArgument, fmt::format("there is no variable {} in the environment", name));
    }
    out += value;
    text.remove_prefix(end + 1);
  }
}

}  // namespace autoglm
