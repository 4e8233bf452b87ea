#include <clocale>
#include <cstdlib>
#include <ios>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "cli/console.h"

int main(int argc, char** argv) {
  // Line editing needs to know that characters are UTF-8; numbers keep their points.
  if (std::setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
  std::ios::sync_with_stdio(false);
  autoglm::Console console = autoglm::Console::Standard();
  return autoglm::RunCommandLine(std::vector<std::string>(argv + 1, argv + argc), console);
}
