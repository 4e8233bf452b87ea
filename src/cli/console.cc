#include "cli/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

namespace autoglm {

Console Console::Standard() {
  const char* no_color = std::getenv("NO_COLOR");
  const bool out_is_terminal = isatty(STDOUT_FILENO) == 1;
  return {.in = std::cin,
          .out = std::cout,
          .err = std::cerr,
          .in_is_terminal = isatty(STDIN_FILENO) == 1,
          .out_is_terminal = out_is_terminal,
          .err_is_terminal = isatty(STDERR_FILENO) == 1,
          .use_color = out_is_terminal && (no_color == nullptr || *no_color == '\0')};
}

std::string_view Bold(const Console& console) { return console.use_color ? "\x1b[1m" : ""; }
std::string_view Dim(const Console& console) { return console.use_color ? "\x1b[2m" : ""; }
std::string_view ResetStyle(const Console& console) { return console.use_color ? "\x1b[0m" : ""; }

int TerminalColumns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

}  // namespace autoglm
