#include "http/header_lines.h"

#include "http/header_names.h"

namespace autoglm::http {

void HeaderLines::Add(std::string_view name, std::string_view value) {
  constexpr size_t kUsualBytes = 768;
  if (text_.empty()) text_.reserve(kUsualBytes);
  AppendHeaderText(name, text_);
  text_.append(": ");
  AppendHeaderText(value, text_);
  text_.append("\r\n");
}

}  // namespace autoglm::http
