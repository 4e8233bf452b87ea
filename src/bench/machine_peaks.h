#pragma once

#include <cstdint>

#include "base/thread_pool.h"
#include "kernels/kernel_table.h"

namespace autoglm {

// What all threads of a pool reach together, in loops that do nothing else. A multiplication and an addition count as two
// operations.
struct MachinePeaks {
  double int8_ops_per_s = 0;    // 8-bit dot products
  double int16_ops_per_s = 0;   // 16-bit dot products
  double bf16_ops_per_s = 0;    // BF16 dot products, or what stands for them on this path
  double f32_ops_per_s = 0;     // fused multiply-adds
  double read_bytes_per_s = 0;  // from memory, beyond every cache

  double OpsPerSecond(PeakOp op) const;
  // The better of two measurements, figure by figure: a neighbour on the machine can only slow one down.
  static MachinePeaks BestOf(const MachinePeaks& a, const MachinePeaks& b);
};

// Takes about a second and 512 MiB. The best of several short runs.
MachinePeaks MeasurePeaks(const KernelTable& kernels, ThreadPool& pool);

}  // namespace autoglm
