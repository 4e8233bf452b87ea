#include "base/cpu_time.h"

#include <chrono>
#include <ctime>

namespace autoglm {
namespace {

Duration TimeOf(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

Duration ThreadCpuTime() { return TimeOf(CLOCK_THREAD_CPUTIME_ID); }
Duration ProcessCpuTime() { return TimeOf(CLOCK_PROCESS_CPUTIME_ID); }

}  // namespace autoglm
