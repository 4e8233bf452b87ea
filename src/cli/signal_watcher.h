#pragma once

#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace autoglm {

// Whether whoever started this process wants the signal ignored, as shells do with SIGINT for what they run with "&".
bool IsIgnored(int signal);

// Turns signals (Ctrl-C, SIGTERM) into something to wait for, until the object ends and they mean what they meant before.
// At most one at a time in a process.
class SignalWatcher {
 public:
  // Errors: kIo where the system refuses.
  static Result<std::unique_ptr<SignalWatcher>> Install(const std::vector<int>& signals);
  ~SignalWatcher();

  // Readable (poll) while signals are waiting to be taken.
  int fd() const { return fd_; }
  // "SIGTERM": the one that came last, for the log. Empty before any.
  std::string LastSignalName() const;
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
