#include "cli/signal_watcher.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/check.h"

namespace autoglm {
namespace {

// The handler has no other way to find the watcher. -1: none is installed.
std::atomic<int> g_signal_fd{-1};
std::atomic<int> g_last_signal{0};
static_assert(std::atomic<int>::is_always_lock_free, "used in a signal handler");

void OnSignal(int signal) {
  const int saved_errno = errno;
  g_last_signal.store(signal);
  const uint64_t one = 1;
  // An eventfd only refuses when its counter is full: then a signal is waiting anyway.
  [[maybe_unused]] const ssize_t written = write(g_signal_fd.load(), &one, sizeof(one));
  errno = saved_errno;
}

}  // namespace

bool IsIgnored(int signal) {
  struct sigaction action = {};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

Result<std::unique_ptr<SignalWatcher>> SignalWatcher::Install(const std::vector<int>& signals) {
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) return Fail(ErrorCode::kIo, std::string("cannot watch for signals: ") + std::strerror(errno));
  int nobody = -1;
  AUTOGLM_CHECK(g_signal_fd.compare_exchange_strong(nobody, fd));
  g_last_signal.store(0);

  std::unique_ptr<SignalWatcher> watcher(new SignalWatcher(fd));
  for (const int signal : signals) {
    // No SA_RESTART: a read from the terminal is to end at Ctrl-C.
    struct sigaction action = {};
    action.sa_handler = OnSignal;
    Previous previous{.signal = signal};
    AUTOGLM_CHECK(sigaction(signal, &action, &previous.action) == 0);
    watcher->previous_.push_back(previous);
  }
  return watcher;
}

SignalWatcher::~SignalWatcher() {
  for (const Previous& previous : previous_) sigaction(previous.signal, &previous.action, nullptr);
  g_signal_fd.store(-1);
  close(fd_);
}

int64_t SignalWatcher::Take() {
  uint64_t count = 0;
  return read(fd_, &count, sizeof(count)) == sizeof(count) ? static_cast<int64_t>(count) : 0;
}

std::string SignalWatcher::LastSignalName() const {
  const char* name = sigabbrev_np(g_last_signal.load());
  return name == nullptr ? std::string() : "SIG" + std::string(name);
}

bool SignalWatcher::Wait(std::chrono::milliseconds timeout) {
  pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
  const int ready = poll(&waiting, 1, timeout.count() < 0 ? -1 : static_cast<int>(timeout.count()));
  // Interrupted by the very signal: it may not be counted yet when another thread handles it, so the caller asks again.
  return ready > 0 && (waiting.revents & POLLIN) != 0;
}

}  // namespace autoglm
