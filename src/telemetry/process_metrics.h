#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

namespace autoglm {

// What every process of ours tells of itself: memory, CPU time, start, version.
class ProcessMetrics {
 public:
  explicit ProcessMetrics(prometheus::Registry& registry);

  // To the numbers as of now.
  void Update();

 private:
  prometheus::Gauge& resident_memory_;
  prometheus::Counter& cpu_seconds_;
};

// Raises a counter to a total that is kept elsewhere, as a scrape does with the engine's. Safe from several threads; a total
// that went back is ignored, since a counter never does.
void SetCounterTotal(prometheus::Counter& counter, double total);

}  // namespace autoglm
