#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "models/causal_lm.h"
#include "models/kv_pool.h"

namespace autoglm {

// Computes the logits of every position of a sequence, without an engine: one sequence, blocks 0, 1, 2, ..., in chunks.
class SequenceForward {
 public:
  // For sequences of up to `max_tokens`. `lm` and `pool` outlive the object. Errors: as KvPool::Create.
  static Result<SequenceForward> Create(CausalLm& lm, ThreadPool& pool, int64_t max_tokens);

  // `visit` is called for every position in order, with logits [vocab_size]. Errors: kInvalidArgument for a token the model
  // does not have, kContextLengthExceeded.
  using Visit = std::function<void(int64_t position, std::span<const float> logits)>;
  Status Run(std::span<const TokenId> tokens, const Visit& visit);

 private:
  SequenceForward(CausalLm& lm, ThreadPool& pool, KvPool kv, int64_t max_tokens);

  CausalLm& lm_;
  ThreadPool& pool_;
  KvPool kv_;
  int64_t max_tokens_;
  std::vector<int32_t> block_table_;
  std::vector<float> logits_;
};

}  // namespace autoglm
