// Guards the speed of the kernels: against the peak that the same machine shows in the same seconds, and against the scalar path.
// Never a time: machines differ, and neighbours come and go. Bounds are about six tenths of what docs/KERNELS.md shows, so that
// other processors pass and a kernel that lost half of its speed does not.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/clock.h"
#include "bench/machine_peaks.h"
#include "kernels/kernel_table.h"
#include "models/step_buffers.h"
#include "weights/packed_matrix.h"

namespace autoglm {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kIsInstrumented = true;
#else
constexpr bool kIsInstrumented = false;
#endif

constexpr int64_t kColumns = 2048;
constexpr int64_t kPanels = 32;

// A product of some tokens with a matrix of zeros, which takes as long as any other.
class Product {
 public:
  Product(const KernelTable& kernels, PackedFormat format, int64_t num_tokens, Arithmetic arithmetic = Arithmetic::kFast)
      : kernels_(kernels),
        kind_(KindFor(format, arithmetic, kernels, num_tokens)),
        panels_(AllocateAligned(kPanels * PanelBytes(format, kColumns) + 4096)),
        scratch_(AllocateAligned(GemmScratchBytes(kColumns))),
        out_(static_cast<size_t>(num_tokens * kPanels * kPanelRows)) {
    std::memset(panels_.get(), 0, static_cast<size_t>(kPanels * PanelBytes(format, kColumns)));
    ActivationNeeds needs;
    needs.Add(format, kind_);
    activations_.Reserve(num_tokens, kColumns, needs, kernels);
    const std::vector<float> rows(static_cast<size_t>(kMaxTileTokens * kColumns), 0.5f);
    for (int64_t tile = 0; tile < activations_.tiling().num_tiles(); ++tile) {
      activations_.FillTile(kernels, tile, rows.data(), kColumns);
    }
    task_ = {.weights = {format, kColumns, PanelBytes(format, kColumns), panels_.get()},
             .panel_begin = 0,
             .panel_end = kPanels,
             .out = out_.data(),
             .out_stride = kPanels * kPanelRows,
             .num_rows = kPanels * kPanelRows,
             .epilogue = Epilogue::kStore,
             .scratch = reinterpret_cast<float*>(scratch_.get())};
    operations_ = 2.0 * kColumns * kPanels * kPanelRows * static_cast<double>(num_tokens);
  }

  double OpsPerSecond() {
    const TimePoint started = Clock::Real().Now();
    if (kind_ == ActivationKind::kInt8) kernels_.gemm_quantized(task_, activations_.quantized());
    if (kind_ == ActivationKind::kInt16) kernels_.gemm_int16(task_, activations_.int16());
    if (kind_ == ActivationKind::kBf16) kernels_.gemm_bf16(task_, activations_.bf16());
    return operations_ / Seconds(Clock::Real().Now() - started);
  }

 private:
  const KernelTable& kernels_;
  ActivationKind kind_;
  AlignedBuffer panels_, scratch_;
  std::vector<float> out_;
  ActivationBuffer activations_;
  GemmTask task_;
  double operations_ = 0;
};

double PeakOps(const KernelTable& kernels, PeakOp op) {
  constexpr int64_t kRounds = 100'000;
  const TimePoint started = Clock::Real().Now();
  const int64_t operations = kernels.run_peak(op, kRounds);
  return static_cast<double>(operations) / Seconds(Clock::Real().Now() - started);
}

// The best of many short runs of each, in turn.
double ShareOfPeak(const KernelTable& kernels, PackedFormat format, PeakOp op, int64_t num_tokens) {
  Product product(kernels, format, num_tokens);
  double best = 0;
  double peak = 0;
  for (int i = 0; i < 60; ++i) {
    best = std::max(best, product.OpsPerSecond());
    peak = std::max(peak, PeakOps(kernels, op));
  }
  return best / peak;
}

// How many times as fast one is as the other, the best of some runs of each, in turn.
double SpeedRatio(Product& product, Product& other, int num_runs) {
  double best = 0;
  double best_other = 0;
  for (int i = 0; i < num_runs; ++i) {
    best = std::max(best, product.OpsPerSecond());
    best_other = std::max(best_other, other.OpsPerSecond());
  }
  return best / best_other;
}

struct Guard {
  Isa isa;
  PackedFormat format;
  PeakOp op;
  double prefill_share;
  double batch_share;  // of 8 tokens, decoded on the way
};

TEST(SpeedGuard, Products_ReachTheirShareOfThePeak) {
  if (kIsInstrumented) GTEST_SKIP() << "instrumented code has no speed to guard";
  constexpr Guard kGuards[] = {
      {Isa::kAvx512Bf16, PackedFormat::kQ4, PeakOp::kInt8, 0.40, 0.35},
      {Isa::kAvx512Bf16, PackedFormat::kQ8, PeakOp::kInt8, 0.40, 0.35},
      {Isa::kAvx512Bf16, PackedFormat::kQ4K, PeakOp::kInt8, 0.35, 0.30},
      {Isa::kAvx512Bf16, PackedFormat::kQ6K, PeakOp::kInt8, 0.30, 0.20},
      {Isa::kAvx512Bf16, PackedFormat::kBf16, PeakOp::kBf16, 0.50, 0.40},
      {Isa::kAvx512Bf16, PackedFormat::kI16, PeakOp::kInt16, 0.45, 0.40},
      {Isa::kAmx, PackedFormat::kBf16, PeakOp::kBf16, 0.20, 0.05},
      {Isa::kAvx512, PackedFormat::kQ4, PeakOp::kInt8, 0.40, 0.35},
      {Isa::kAvx2, PackedFormat::kQ4, PeakOp::kInt8, 0.22, 0.22},
  };
  const std::vector<Isa> supported = SupportedIsas();
  for (const Guard& guard : kGuards) {
    if (std::ranges::count(supported, guard.isa) == 0) continue;
    const KernelTable& kernels = GetKernels(guard.isa);
    const std::string what = std::string(IsaName(guard.isa)) + ", format " + std::to_string(static_cast<int>(guard.format));
    const double prefill = ShareOfPeak(kernels, guard.format, guard.op, 96);
    const double batch = ShareOfPeak(kernels, guard.format, guard.op, 8);
    RecordProperty(what, std::to_string(prefill) + " " + std::to_string(batch));
    std::printf("%s: %.2f of the peak with 96 tokens, %.2f with 8\n", what.c_str(), prefill, batch);
    EXPECT_GT(prefill, guard.prefill_share) << what;
    EXPECT_GT(batch, guard.batch_share) << what << ", 8 tokens";
  }
}

// Alone on a core they are 1.4 to 2.9 times as fast; a neighbour on it has cost them all of that.
TEST(SpeedGuard, MixedProducts_AreNotSlowerThanThoseOf8Bits) {
  if (kIsInstrumented) GTEST_SKIP() << "instrumented code has no speed to guard";
  if (DetectIsa() != Isa::kAmx) GTEST_SKIP() << "no matrix tiles here";
  for (const PackedFormat format : {PackedFormat::kQ4, PackedFormat::kQ4K, PackedFormat::kQ8}) {
    Product mixed(GetKernels(Isa::kAmx), format, 256, Arithmetic::kMixed);
    Product fast(GetKernels(Isa::kAmx), format, 256);
    const double ratio = SpeedRatio(mixed, fast, 30);
    std::printf("amx, format %d, 256 tokens: mixed %.2f times as fast\n", static_cast<int>(format), ratio);
    EXPECT_GT(ratio, 0.7) << "format " << static_cast<int>(format);
  }
}

TEST(SpeedGuard, EveryPath_IsManyTimesAsFastAsScalar) {
  if (kIsInstrumented) GTEST_SKIP() << "instrumented code has no speed to guard";
  for (const Isa isa : SupportedIsas()) {
    if (isa == Isa::kScalar) continue;
    for (const PackedFormat format : {PackedFormat::kQ4, PackedFormat::kQ4K, PackedFormat::kQ8}) {
      Product fast(GetKernels(isa), format, 24);
      Product scalar(GetKernels(Isa::kScalar), format, 24);
      EXPECT_GT(SpeedRatio(fast, scalar, 4), 4) << IsaName(isa) << ", format " << static_cast<int>(format);
    }
  }
}

}  // namespace
}  // namespace autoglm
