#include "sampling/nucleus.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "base/check.h"

namespace autoglm {
namespace {

// Tokens fall into buckets by how far they lie below the best one, in units of the temperature. What lies deeper than 32 units
// shares the last bucket: e^-32 of 150,000 tokens is 2e-9, less than any 1 - top_p that a float can hold, so the border is
// practically never there. (Where it is, the last bucket is sorted out like any other.)
constexpr float kBucketsPerUnit = 32;
constexpr size_t kNumBuckets = 1024;

// Most models are sure enough that the nucleus lies this near to the best token: a look there passes over nearly all blocks.
constexpr float kNearUnits = 8;

size_t BucketOf(float logit, const Softmax& softmax) {
  const float depth = (softmax.max_logit - logit) * softmax.inverse_temperature * kBucketsPerUnit;
  return depth < static_cast<float>(kNumBuckets) ? static_cast<size_t>(depth) : kNumBuckets - 1;
}

// Calls visit(token, logit, weight) for each token that has a weight, in token order.
template <typename Visit>
void ForEachWeight(std::span<const float> logits, const Softmax& softmax, float floor, Visit visit) {
  BlockWeights weights;
  for (size_t i = 0; i < NumScanBlocks(logits.size()); ++i) {
    const auto block = ScanBlock(logits, i);
    if (!(MaxLogit(block) >= floor)) continue;
    WeighBlock(block, softmax, floor, weights);
    for (size_t k = 0; k < block.size(); ++k) {
      if (weights[k] > 0) visit(static_cast<TokenId>(i * kScanBlock + k), block[k], weights[k]);
    }
  }
}

using BucketSums = std::array<double, kNumBuckets>;

// Adds up the buckets of all tokens whose logit is at least `floor`, and returns the sum of all.
double FillBuckets(std::span<const float> logits, const Softmax& softmax, float floor, BucketSums& sums) {
  sums.fill(0);
  ForEachWeight(logits, softmax, floor, [&](TokenId, float logit, float weight) { sums[BucketOf(logit, softmax)] += weight; });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

// The bucket in which the running sum reaches `missing`, which loses what lies before it.
size_t FindBorder(const BucketSums& sums, double& missing) {
  size_t last = 0;
  for (size_t i = 0; i < kNumBuckets; ++i) {
    if (sums[i] <= 0) continue;
    last = i;
    if (sums[i] >= missing) return i;
    missing -= sums[i];
  }
  // Sums in another order round otherwise: then the nucleus is everything there is.
  missing = sums[last];
  return last;
}

float LogitAtDepth(float units, const Softmax& softmax) { return softmax.max_logit - units / softmax.inverse_temperature; }

}  // namespace

// The buckets say in which one the border lies; that bucket alone is collected and sorted out exactly.
float CutToNucleus(std::span<float> logits, const Softmax& softmax, float floor, double mass, std::vector<Candidate>& scratch) {
  BucketSums bucket_sums;
  const float near_floor = std::max(floor, LogitAtDepth(kNearUnits, softmax));
  if (FillBuckets(logits, softmax, near_floor, bucket_sums) < mass) FillBuckets(logits, softmax, floor, bucket_sums);
  double missing = mass;
  const size_t border = FindBorder(bucket_sums, missing);

  scratch.clear();
  // A bucket more than needed, against rounding: BucketOf decides.
  const float border_floor = border + 1 == kNumBuckets
                                 ? floor
                                 : std::max(floor, LogitAtDepth(static_cast<float>(border + 2) / kBucketsPerUnit, softmax));
  ForEachWeight(logits, softmax, border_floor, [&](TokenId token, float logit, float weight) {
    if (BucketOf(logit, softmax) == border) scratch.push_back({.token = token, .logit = logit, .weight = weight});
  });
  const size_t num_kept = SortOutNucleus(missing, scratch);
  AUTOGLM_CHECK(num_kept > 0);  // the border is a bucket that some token fell into
  const auto kept = std::span(scratch).first(num_kept);
  const float lowest =
      std::min_element(kept.begin(), kept.end(), [](const auto& a, const auto& b) { return a.logit < b.logit; })->logit;
  for (const Candidate& dropped : std::span(scratch).subspan(num_kept)) {
    if (dropped.logit == lowest) logits[static_cast<size_t>(dropped.token)] = -std::numeric_limits<float>::infinity();
  }
  return lowest;
}

}  // namespace autoglm
