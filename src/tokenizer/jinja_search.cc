#include "tokenizer/jinja_search.h"

#include <cstring>
#include <string>

namespace autoglm::jinja {

size_t FindBytes(std::string_view text, std::string_view part, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (part.empty()) return from;
  // glibc's memmem is the two-way algorithm.
  const void* const found = ::memmem(text.data() + from, text.size() - from, part.data(), part.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

size_t FindLastBytes(std::string_view text, std::string_view part) {
  const std::string reversed_text(text.rbegin(), text.rend());
  const std::string reversed_part(part.rbegin(), part.rend());
  const size_t found = FindBytes(reversed_text, reversed_part, 0);
  return found == std::string_view::npos ? found : text.size() - found - part.size();
}

}  // namespace autoglm::jinja
