#pragma once

#include "base/clock.h"

namespace autoglm {

// What a step costs beside time. Of one thread, which makes all calls.
class StepMeter {
 public:
  StepMeter() = default;
  ~StepMeter();
  StepMeter(const StepMeter&) = delete;
  StepMeter& operator=(const StepMeter&) = delete;

  struct Cost {
    Duration elapsed{};
    Duration cpu{};        // of the whole process
    Duration run_queue{};  // that this thread could run and had no processor, since the last End; 0 where Linux does not say
  };
  void Begin();
  Cost End();

 private:
  Duration RunQueue();

  int schedstat_ = -1;  // opened by the first call
  bool is_opened_ = false;
  TimePoint begun_{};
  Duration cpu_before_{};
  Duration run_queue_before_{};
};

}  // namespace autoglm
