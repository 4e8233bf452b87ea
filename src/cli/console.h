#pragma once

#include <iosfwd>
#include <string_view>

namespace autoglm {

// The streams a command talks to. Tests pass string streams, main passes the standard ones.
struct Console {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool in_is_terminal = false;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  bool use_color = false;  // out is a terminal and $NO_COLOR is not set

  static Console Standard();
};

// Escape sequences, empty without color.
std::string_view Bold(const Console& console);
std::string_view Dim(const Console& console);
std::string_view ResetStyle(const Console& console);

// Columns of the terminal behind standard error; 80 where that cannot be told.
int TerminalColumns();

}  // namespace autoglm
