#pragma once

#include <string>
#include <string_view>

namespace autoglm::http {

// Lines of a head, sanitised while they are put together: a line break in a name or value would begin a line of a stranger's
// choice.
class HeaderLines {
 public:
  void Add(std::string_view name, std::string_view value);
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace autoglm::http
