#include <fcntl.h>
#include <unistd.h>

#include <clocale>
#include <cstdlib>
#include <ios>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "cli/console.h"

namespace {

// The number of a closed standard stream would go to the next file or socket, and the log would be written into that. Opened
// for reading, so that output still fails where it cannot be written.
void ReserveStandardStreams() {
  int descriptor = STDIN_FILENO;
  while (descriptor >= STDIN_FILENO && descriptor <= STDERR_FILENO) descriptor = open("/dev/null", O_RDONLY);
  if (descriptor > STDERR_FILENO) close(descriptor);
}

}  // namespace

int main(int argc, char** argv) {
  ReserveStandardStreams();
  // Line editing needs to know that characters are UTF-8; numbers keep their points.
  if (std::setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
  std::ios::sync_with_stdio(false);
  autoglm::Console console = autoglm::Console::Standard();
  return autoglm::RunCommandLine(std::vector<std::string>(argv + 1, argv + argc), console);
}
