#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "sampling/logit_scan.h"

namespace autoglm {

// A token that may still be drawn. Better means a larger logit; among equals, the lower token.
struct Candidate {
  TokenId token = 0;
  float logit = 0;
  float weight = 0;  // Softmax::Weight of the logit
};

// Fills `candidates` with the best `k` (> 0) of the tokens whose logit is at least `floor`, in no particular order. Minus
// infinity and NaN never are among them. `candidates` grows to at most TopKCapacity(k).
void GatherTopK(std::span<const float> logits, size_t k, float floor, std::vector<Candidate>& candidates);
size_t TopKCapacity(size_t k);

// Fills in the weights, and returns their sum.
double Weigh(const Softmax& softmax, std::span<Candidate> candidates);

// Brings the fewest best candidates whose weights sum to `mass` (> 0) or more to the front, and returns their number; all
// where that much is not to be had.
size_t SortOutNucleus(double mass, std::span<Candidate> candidates);

// Inverse CDF in the order of the candidates: the token at `uniform` [0, 1) of their weight. One weight at least is above 0.
TokenId Draw(std::span<const Candidate> candidates, double uniform);

}  // namespace autoglm
