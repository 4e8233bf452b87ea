#pragma once

#include <sys/types.h>

#include <optional>

#include "base/result.h"

namespace autoglm {

// How one process takes over from another of the same program without losing a connection: the new one is started with the
// listening sockets, and once it serves it tells the old one to finish.

// What a process got from the one it takes over from; nothing where it was started otherwise.
struct Inheritance {
  std::optional<int> socket;
  std::optional<int> admin_socket;
  std::optional<pid_t> predecessor;
};

// Once, at the start: what the environment says, which is cleared of it.
Inheritance TakeInheritance();

// Starts this program anew, from its file as it is now, with the same arguments and these sockets (which stay open here).
// Errors: kIo.
Status StartSuccessor(const Inheritance& sockets);

// SIGTERM, where there is one and it is still the parent.
void TellPredecessor(const Inheritance& inherited);

}  // namespace autoglm
