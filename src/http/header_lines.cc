#include "http/header_lines.h"

#include "http/header_names.h"

namespace autoglm::http {

void HeaderLines::Add(std::string_view name, std::string_view value) {
  if (text_.empty()) text_.reserve(kUsualHeadBytes);
  AppendHeaderLine(name, value, text_);
}

}  // namespace autoglm::http
