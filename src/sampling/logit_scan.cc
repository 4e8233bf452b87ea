#include "sampling/logit_scan.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "base/check.h"

namespace autoglm {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// Four lanes: every x86-64 and ARMv8 machine has them, so results do not depend on the instruction set. (GCC and clang.)
using Floats = float __attribute__((vector_size(16)));
using Words = uint32_t __attribute__((vector_size(16)));
constexpr size_t kLanes = sizeof(Floats) / sizeof(float);
constexpr size_t kUnroll = 4;  // independent sums or maxima, enough to hide the latency of one
constexpr size_t kStride = kLanes * kUnroll;

Floats Load(const float* values) {
  Floats loaded;
  std::memcpy(&loaded, values, sizeof(loaded));
  return loaded;
}

// For one number (float, uint32_t) and for four (Floats, Words). exp(z) = 2^n * exp(r) with n = round(z / ln 2), and a Taylor
// polynomial for exp(r), |r| <= ln(2) / 2.
template <typename Float, typename Word>
Float Exp(Float z) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the rounded integer in the low bits
  constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  const Float lowest = Float{} - 87.0f;
  const Float clamped = z > lowest ? z : lowest;
  const Float shifted = clamped * 1.44269504f + kRound;
  const Float n = shifted - kRound;
  const Float r = (clamped - n * kLn2High) - n * kLn2Low;
  const Float high = 1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120 + r * (1.0f / 720)));
  const Float p = 1.0f + r * (1.0f + r * (0.5f + r * high));
  const Word exponent = (std::bit_cast<Word>(shifted) + 127u) << 23;
  return z > lowest ? p * std::bit_cast<Float>(exponent) : Float{};
}

template <typename Float, typename Word>
Float WeightAbove(Float logit, const Softmax& softmax, float floor) {
  const Float weight = Exp<Float, Word>((logit - softmax.max_logit) * softmax.inverse_temperature);
  return logit >= Float{} + floor ? weight : Float{};
}

double Sum(std::span<const float> weights) {
  Floats sums[kUnroll] = {};
  const size_t num_whole = weights.size() / kStride * kStride;
  for (size_t i = 0; i < num_whole; i += kStride) {
    for (size_t u = 0; u < kUnroll; ++u) sums[u] += Load(weights.data() + i + u * kLanes);
  }
  const Floats lanes = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  double sum = 0;
  for (size_t lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  for (size_t i = num_whole; i < weights.size(); ++i) sum += weights[i];
  return sum;
}

// The block in which the running sum of `block_sums` passes `target`, which loses what lies before. Never an empty block:
// rounding may leave a little of the target at the end.
size_t FindBlock(std::span<const double> block_sums, double& target) {
  size_t last = 0;
  for (size_t i = 0; i < block_sums.size(); ++i) {
    if (block_sums[i] <= 0) continue;
    if (target < block_sums[i]) return i;
    target -= block_sums[i];
    last = i;
  }
  target = block_sums[last];
  return last;
}

}  // namespace

float ExpNonPositive(float z) { return Exp<float, uint32_t>(z); }

std::span<const float> ScanBlock(std::span<const float> logits, size_t index) {
  const size_t begin = index * kScanBlock;
  return logits.subspan(begin, std::min(kScanBlock, logits.size() - begin));
}

float MaxLogit(std::span<const float> logits) {
  Floats maxima[kUnroll];
  for (Floats& lanes : maxima) lanes = Floats{} + kMinusInfinity;
  const size_t num_whole = logits.size() / kStride * kStride;
  for (size_t i = 0; i < num_whole; i += kStride) {
    for (size_t u = 0; u < kUnroll; ++u) {
      const Floats loaded = Load(logits.data() + i + u * kLanes);
      maxima[u] = loaded > maxima[u] ? loaded : maxima[u];  // false for NaN
    }
  }
  for (size_t u = 1; u < kUnroll; ++u) maxima[0] = maxima[u] > maxima[0] ? maxima[u] : maxima[0];
  float best = kMinusInfinity;
  for (size_t lane = 0; lane < kLanes; ++lane) best = std::max(best, maxima[0][lane]);
  for (size_t i = num_whole; i < logits.size(); ++i) best = logits[i] > best ? logits[i] : best;
  return best;
}

BestLogit FindBest(std::span<const float> logits) {
  float best = kMinusInfinity;
  size_t best_block = 0;
  for (size_t i = 0; i < NumScanBlocks(logits.size()); ++i) {
    const float block_max = MaxLogit(ScanBlock(logits, i));
    if (block_max <= best) continue;
    best = block_max;
    best_block = i;
  }
  if (best == kMinusInfinity) return {.token = 0, .logit = best};

  const auto block = ScanBlock(logits, best_block);
  const auto offset = std::find(block.begin(), block.end(), best) - block.begin();
  return {.token = static_cast<TokenId>(best_block * kScanBlock + static_cast<size_t>(offset)), .logit = best};
}

void WeighBlock(std::span<const float> block, const Softmax& softmax, float floor, BlockWeights& weights) {
  const size_t num_whole = block.size() / kLanes * kLanes;
  for (size_t i = 0; i < num_whole; i += kLanes) {
    const auto four = WeightAbove<Floats, Words>(Load(block.data() + i), softmax, floor);
    std::memcpy(weights.data() + i, &four, sizeof(four));
  }
  for (size_t i = num_whole; i < block.size(); ++i) weights[i] = WeightAbove<float, uint32_t>(block[i], softmax, floor);
}

double SumWeights(std::span<const float> logits, const Softmax& softmax, float floor, std::span<double> block_sums) {
  AUTOGLM_CHECK(block_sums.size() == NumScanBlocks(logits.size()));
  BlockWeights weights;
  double total = 0;
  for (size_t i = 0; i < block_sums.size(); ++i) {
    const auto block = ScanBlock(logits, i);
    block_sums[i] = 0;
    // With a floor, most blocks hold nothing above it.
    if (floor > kMinusInfinity && MaxLogit(block) < floor) continue;
    WeighBlock(block, softmax, floor, weights);
    block_sums[i] = Sum(std::span(weights).first(block.size()));
    total += block_sums[i];
  }
  return total;
}

TokenId DrawFromAll(std::span<const float> logits, const Softmax& softmax, float floor, std::span<const double> block_sums,
                    double uniform) {
  double total = 0;
  for (const double sum : block_sums) total += sum;
  double target = uniform * total;
  const size_t block_index = FindBlock(block_sums, target);

  const auto block = ScanBlock(logits, block_index);
  BlockWeights weights;
  WeighBlock(block, softmax, floor, weights);
  size_t chosen = 0;
  for (size_t i = 0; i < block.size(); ++i) {
    if (weights[i] <= 0) continue;
    chosen = i;
    if (target < weights[i]) break;
    target -= weights[i];
  }
  return static_cast<TokenId>(block_index * kScanBlock + chosen);
}

}  // namespace autoglm
