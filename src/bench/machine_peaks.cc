#include "bench/machine_peaks.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/clock.h"
#include "weights/packed_matrix.h"

namespace autoglm {
namespace {

constexpr int kRuns = 20;
constexpr int64_t kPeakRounds = 1 << 19;
// The scalar path has no products of its own: fewer rounds take as long.
constexpr int64_t kScalarRounds = 1 << 14;
constexpr int64_t kReadBytes = int64_t{512} << 20;

double PeakOf(PeakOp op, const KernelTable& kernels, ThreadPool& pool) {
  const int64_t rounds = kernels.isa == Isa::kScalar ? kScalarRounds : kPeakRounds;
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    std::atomic<int64_t> operations{0};
    const TimePoint started = Clock::Real().Now();
    pool.Run([&](int) { operations += kernels.run_peak(op, rounds); });
    best = std::max(best, static_cast<double>(operations) / Seconds(Clock::Real().Now() - started));
  }
  return best;
}

double ReadRate(const KernelTable& kernels, ThreadPool& pool) {
  const AlignedBuffer memory = AllocateAligned(kReadBytes);
  const int64_t part = kReadBytes / pool.num_threads() / 256 * 256;
  pool.Run([&](int member) { std::memset(memory.get() + member * part, member + 1, static_cast<size_t>(part)); });
  double best = 0;
  std::atomic<int32_t> sink{0};
  for (int run = 0; run < kRuns; ++run) {
    const TimePoint started = Clock::Real().Now();
    pool.Run([&](int member) { sink += kernels.read_bytes(memory.get() + member * part, part); });
    best = std::max(best, static_cast<double>(part * pool.num_threads()) / Seconds(Clock::Real().Now() - started));
  }
  return best;
}

}  // namespace

double MachinePeaks::OpsPerSecond(PeakOp op) const {
  switch (op) {
    case PeakOp::kInt8:
      return int8_ops_per_s;
    case PeakOp::kInt16:
      return int16_ops_per_s;
    case PeakOp::kBf16:
      return bf16_ops_per_s;
    case PeakOp::kF32:
      return f32_ops_per_s;
  }
  return 0;
}

MachinePeaks MachinePeaks::BestOf(const MachinePeaks& a, const MachinePeaks& b) {
  return {.int8_ops_per_s = std::max(a.int8_ops_per_s, b.int8_ops_per_s),
          .int16_ops_per_s = std::max(a.int16_ops_per_s, b.int16_ops_per_s),
          .bf16_ops_per_s = std::max(a.bf16_ops_per_s, b.bf16_ops_per_s),
          .f32_ops_per_s = std::max(a.f32_ops_per_s, b.f32_ops_per_s),
          .read_bytes_per_s = std::max(a.read_bytes_per_s, b.read_bytes_per_s)};
}

MachinePeaks MeasurePeaks(const KernelTable& kernels, ThreadPool& pool) {
  return {.int8_ops_per_s = PeakOf(PeakOp::kInt8, kernels, pool),
          .int16_ops_per_s = PeakOf(PeakOp::kInt16, kernels, pool),
          .bf16_ops_per_s = PeakOf(PeakOp::kBf16, kernels, pool),
          .f32_ops_per_s = PeakOf(PeakOp::kF32, kernels, pool),
          .read_bytes_per_s = ReadRate(kernels, pool)};
}

}  // namespace autoglm
