#include "base/name_pattern.h"

#include <cstddef>

namespace autoglm {
namespace {

constexpr size_t kMaxNameBytes = 1024;  // bounds the square of a pattern with many stars

}  // namespace

bool FitsPattern(std::string_view name, std::string_view pattern) {
  if (name.size() > kMaxNameBytes) return false;
  size_t p = 0;
  size_t n = 0;
  size_t star = std::string_view::npos;
  size_t behind_star = 0;  // where in the name the last star's characters end
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      behind_star = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++behind_star;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

}  // namespace autoglm
