#include "engine/step_meter.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <string_view>

#include "base/cpu_time.h"

namespace autoglm {
StepMeter::~StepMeter() {
  if (schedstat_ >= 0) close(schedstat_);
}

void StepMeter::Begin() {
  if (!is_opened_) {
    is_opened_ = true;
    schedstat_ = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    run_queue_before_ = RunQueue();
  }
  cpu_before_ = ProcessCpuTime();
  begun_ = Clock::Real().Now();
}

StepMeter::Cost StepMeter::End() {
  const Duration run_queue = RunQueue();
  const Cost cost{
      .elapsed = Clock::Real().Now() - begun_, .cpu = ProcessCpuTime() - cpu_before_, .run_queue = run_queue - run_queue_before_};
  run_queue_before_ = run_queue;
  return cost;
}

// "<ns on a processor> <ns waiting for one> <times it ran>"
Duration StepMeter::RunQueue() {
  std::array<char, 96> text{};
  const ssize_t size = schedstat_ < 0 ? 0 : pread(schedstat_, text.data(), text.size(), 0);
  if (size <= 0) return {};
  const std::string_view line(text.data(), static_cast<size_t>(size));
  const size_t space = line.find(' ');
  if (space == std::string_view::npos) return {};
  int64_t nanoseconds = 0;
  std::from_chars(line.data() + space + 1, line.data() + line.size(), nanoseconds);
  return std::chrono::nanoseconds(nanoseconds);
}

}  // namespace autoglm
