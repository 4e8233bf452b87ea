#pragma once

#include <span>
#include <vector>

#include "sampling/candidates.h"
#include "sampling/logit_scan.h"

namespace autoglm {

// Top-p over a whole vocabulary: finds the fewest most likely tokens whose weights sum to `mass` (> 0) or more, among those
// whose logit is at least `floor`. Answers the lowest logit of the nucleus; tokens that equal it and are too many (the higher
// ones) become minus infinity in `logits`, so that this logit separates exactly. `scratch` never outgrows the vocabulary.
float CutToNucleus(std::span<float> logits, const Softmax& softmax, float floor, double mass, std::vector<Candidate>& scratch);

}  // namespace autoglm
