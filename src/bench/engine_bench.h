#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "bench/machine_peaks.h"
#include "models/causal_lm.h"

namespace autoglm {

// What to measure of a model: every prompt length, and every batch at every depth.
struct EngineBenchOptions {
  std::vector<int64_t> prefill = {512};  // tokens of a prompt
  int64_t decode = 64;                   // tokens that each sequence of a batch writes; 0: no decoding is measured
  std::vector<int64_t> depth = {0};      // tokens that each sequence has in its context before
  std::vector<int64_t> batch = {1};      // sequences that decode together
  int64_t step_tokens = 512;             // a prompt goes through the model in steps of that many tokens
  int64_t repetitions = 5;
};

// What stands between a measurement and more speed.
enum class Bound { kMemory, kCompute };

struct EngineBenchResult {
  enum class Kind { kPrefill, kDecode } kind = Kind::kPrefill;
  int64_t tokens = 0;
  int64_t batch = 1;
  int64_t depth = 0;
  std::vector<double> tokens_per_s;  // of every repetition; of all sequences together
  double limit_tokens_per_s = 0;     // by the measured peaks
  Bound bound = Bound::kMemory;

  double median() const;
  double share_of_limit() const { return median() / limit_tokens_per_s; }
};

// The least time that `peaks` allow for one forward pass of `num_sequences` sequences that each compute `num_tokens` tokens
// behind `depth` tokens and ask for the logits of the last: either all bytes are read once, or all products are multiplied,
// whichever takes longer.
struct StepLimit {
  double seconds = 0;
  Bound bound = Bound::kMemory;
};
StepLimit LimitOf(const CausalLm& lm, const MachinePeaks& peaks, int64_t num_sequences, int64_t num_tokens, int64_t depth);

// Measures in the given order, one repetition of everything after the other, so that a slow minute of the machine touches all
// results alike; their limits are not set. `report` is called before each piece of work with a few words about it. Errors:
// kContextLengthExceeded, those of KvPool::Create.
Result<std::vector<EngineBenchResult>> RunEngineBench(CausalLm& lm, ThreadPool& pool, const EngineBenchOptions& options,
                                                      const std::function<void(std::string_view)>& report);
// Says of each result how fast it could have been.
void SetLimits(const CausalLm& lm, const MachinePeaks& peaks, const EngineBenchOptions& options,
               std::vector<EngineBenchResult>& results);

}  // namespace autoglm
