#include "sampling/candidates.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace autoglm {
namespace {

bool IsBetter(const Candidate& a, const Candidate& b) { return a.logit != b.logit ? a.logit > b.logit : a.token < b.token; }

double SumOfWeights(std::span<const Candidate> candidates) {
  double sum = 0;
  for (const Candidate& candidate : candidates) sum += candidate.weight;
  return sum;
}

}  // namespace

size_t TopKCapacity(size_t k) { return std::max<size_t>(2 * k, 64); }

// Collects up to twice as many as wanted, throws the worse half away and raises the floor: for logits in random order, few
// pass after the first rounds; at worst every k-th step costs O(k).
void GatherTopK(std::span<const float> logits, size_t k, float floor, std::vector<Candidate>& candidates) {
  AUTOGLM_CHECK(k > 0);
  constexpr size_t kBlock = 64;  // passed over at the speed of MaxLogit where nothing in it reaches the floor
  candidates.clear();
  const auto keep_best = [&] {
    const auto worst_kept = candidates.begin() + static_cast<ptrdiff_t>(k - 1);
    std::nth_element(candidates.begin(), worst_kept, candidates.end(), IsBetter);
    candidates.resize(k);
  };
  // A floor of minus infinity would let impossible tokens in.
  floor = std::max(floor, std::numeric_limits<float>::lowest());
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const auto block = logits.subspan(begin, std::min(kBlock, logits.size() - begin));
    if (!(MaxLogit(block) >= floor)) continue;
    for (size_t i = 0; i < block.size(); ++i) {
      if (!(block[i] >= floor)) continue;
      candidates.push_back({.token = static_cast<TokenId>(begin + i), .logit = block[i]});
      if (candidates.size() < TopKCapacity(k)) continue;
      keep_best();
      // Later tokens lose against equals, so only larger logits are of interest.
      floor = std::nextafter(candidates.back().logit, std::numeric_limits<float>::infinity());
    }
  }
  if (candidates.size() > k) keep_best();
}

double Weigh(const Softmax& softmax, std::span<Candidate> candidates) {
  for (Candidate& candidate : candidates) candidate.weight = softmax.Weight(candidate.logit);
  return SumOfWeights(candidates);
}

// A quickselect by weight: the better half is looked at, and only the half with the border in it is split again. O(n).
size_t SortOutNucleus(double mass, std::span<Candidate> candidates) {
  size_t begin = 0;                // all before belong to the nucleus
  size_t end = candidates.size();  // all from here on do not
  double missing = mass;
  while (end - begin > 1) {
    const size_t middle = begin + (end - begin) / 2;
    std::nth_element(candidates.begin() + static_cast<ptrdiff_t>(begin), candidates.begin() + static_cast<ptrdiff_t>(middle),
                     candidates.begin() + static_cast<ptrdiff_t>(end), IsBetter);
    const double better_half = SumOfWeights(candidates.subspan(begin, middle - begin));
    if (better_half >= missing) {
      end = middle;
    } else {
      missing -= better_half;
      begin = middle;
    }
  }
  return end;
}

TokenId Draw(std::span<const Candidate> candidates, double uniform) {
  AUTOGLM_CHECK(!candidates.empty());
  double target = uniform * SumOfWeights(candidates);
  TokenId chosen = candidates.front().token;
  for (const Candidate& candidate : candidates) {
    if (candidate.weight <= 0) continue;
    chosen = candidate.token;
    if (target < candidate.weight) break;
    target -= candidate.weight;
  }
  return chosen;
}

}  // namespace autoglm
