#pragma once

#include <chrono>
#include <csignal>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <vector>

#include "base/result.h"

namespace autoglm {

// Turns signals (Ctrl-C, SIGTERM) into something to wait for, until the object ends and they mean what they meant before.
// At most one at a time in a process.
class SignalWatcher {
 public:
  // Errors: kIo where the system refuses.
  static Result<std::unique_ptr<SignalWatcher>> Install(std::initializer_list<int> signals);
  ~SignalWatcher();

  // Readable (poll) while signals are waiting to be taken.
  int fd() const { return fd_; }
  // How many arrived since the last call; never blocks.
  int64_t Take();
  // Waits for a signal; false when none came in time. Does not take it. A negative timeout waits for ever.
  bool Wait(std::chrono::milliseconds timeout);

 private:
  explicit SignalWatcher(int fd) : fd_(fd) {}

  struct Previous {
    int signal = 0;
    struct sigaction action = {};
  };
  int fd_;
  std::vector<Previous> previous_;
};

}  // namespace autoglm
