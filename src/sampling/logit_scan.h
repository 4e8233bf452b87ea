#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace autoglm {

// Scans over the logits of a whole vocabulary, without a sort and without allocation. NaN counts as minus infinity.
//
// Estimate for 151,552 logits (0.6 MB, in L2): FindBest and threshold scans 15-40 us, a scan with an exponential 150-200 us.

struct BestLogit {
  TokenId token = 0;
  float logit = 0;  // minus infinity where no token is possible
};

// The largest logit; among equals the lowest token.
BestLogit FindBest(std::span<const float> logits);

// exp(z) for z <= 0 with a relative error below 1e-6; 0 for z < -87 and for NaN.
float ExpNonPositive(float z);

// Turns logits into probabilities up to a constant factor: the most likely token weighs 1.
struct Softmax {
  float max_logit = 0;
  float inverse_temperature = 1;

  float Weight(float logit) const { return ExpNonPositive((logit - max_logit) * inverse_temperature); }
};

inline constexpr size_t kScanBlock = 256;

constexpr size_t NumScanBlocks(size_t num_logits) { return (num_logits + kScanBlock - 1) / kScanBlock; }
std::span<const float> ScanBlock(std::span<const float> logits, size_t index);

// The largest logit of any number of them; minus infinity where all are NaN.
float MaxLogit(std::span<const float> logits);

// The weights of a block, 0 where the logit is below `floor`.
using BlockWeights = std::array<float, kScanBlock>;
void WeighBlock(std::span<const float> block, const Softmax& softmax, float floor, BlockWeights& weights);

// The sum of the weights of all logits that are at least `floor`; `block_sums` [NumScanBlocks] gets the part of each block.
double SumWeights(std::span<const float> logits, const Softmax& softmax, float floor, std::span<double> block_sums);

// Inverse CDF in token order: the token at `uniform` [0, 1) of the mass that SumWeights found with the same arguments.
TokenId DrawFromAll(std::span<const float> logits, const Softmax& softmax, float floor, std::span<const double> block_sums,
                    double uniform);

}  // namespace autoglm
