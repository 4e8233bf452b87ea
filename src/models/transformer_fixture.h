#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "models/transformer.h"
#include "support/safetensors_reader.h"

namespace autoglm {

using Logits = ForwardSlice::Logits;

// A loaded model, a KV pool, and sequences whose blocks are handed out in a scattered order.
class Runner {
 public:
  Runner(const GgufFile& file, Isa isa, Arithmetic arithmetic, int num_threads, int64_t num_blocks = 64)
      : Runner(file, {.isa = isa, .arithmetic = arithmetic}, num_threads, num_blocks) {}
  Runner(const GgufFile& file, const ModelLoadOptions& options, int num_threads, int64_t num_blocks = 64)
      : Runner(std::move(*CausalLm::Open(file, options)), num_threads, num_blocks) {}
  Runner(std::unique_ptr<CausalLm> lm, int num_threads, int64_t num_blocks)
      : pool_(num_threads),
        lm_(std::move(lm)),
        kv_(std::move(*KvPool::Create(lm_->kv_layout(), num_blocks))),
        num_blocks_(num_blocks) {}

  struct Sequence {
    std::vector<TokenId> tokens;
    std::vector<int32_t> blocks;
    int64_t num_computed = 0;
  };

  Sequence NewSequence(std::vector<TokenId> tokens, int64_t capacity) {
    Sequence sequence{.tokens = std::move(tokens), .blocks = {}};
    for (int64_t token = 0; token < capacity; token += kKvBlockTokens) {
      sequence.blocks.push_back(static_cast<int32_t>((next_block_ * 37 + 11) % num_blocks_));
      ++next_block_;
    }
    return sequence;
  }

  void LoadAll() {
    while (!lm_->load_progress().is_complete()) lm_->LoadNext(pool_);
  }

  // Computes the next `count` tokens of every sequence in one pass; logits of all of them.
  std::vector<float> Forward(std::vector<std::pair<Sequence*, int64_t>> parts, Logits wanted = Logits::kAll) {
    std::vector<ForwardSlice> slices;
    for (auto& [sequence, count] : parts) {
      slices.push_back({.tokens = std::span(sequence->tokens).subspan(sequence->num_computed, count),
                        .first_position = sequence->num_computed,
                        .block_table = sequence->blocks,
                        .logits = wanted});
      sequence->num_computed += count;
    }
    std::vector<float> logits;
    EXPECT_TRUE(lm_->Forward(slices, kv_, pool_, logits, nullptr));
    return logits;
  }
  // Begins to compute the next `count` tokens and gives up.
  void GiveUp(const Sequence& sequence, int64_t count) {
    const ForwardSlice slice{.tokens = std::span(sequence.tokens).subspan(sequence.num_computed, count),
                             .first_position = sequence.num_computed,
                             .block_table = sequence.blocks,
                             .logits = Logits::kLast};
    std::vector<float> logits;
    const std::atomic<bool> interrupt{true};
    EXPECT_FALSE(lm_->Forward({&slice, 1}, kv_, pool_, logits, &interrupt));
  }

  std::vector<TokenId> Greedy(std::vector<TokenId> prompt, int64_t count) {
    const auto length = static_cast<int64_t>(prompt.size());
    Sequence sequence = NewSequence(std::move(prompt), length + count);
    std::vector<TokenId> answer;
    int64_t pending = length;
    while (static_cast<int64_t>(answer.size()) < count) {
      const std::vector<float> logits = Forward({{&sequence, pending}}, Logits::kLast);
      answer.push_back(static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
      sequence.tokens.push_back(answer.back());
      pending = 1;
    }
    return answer;
  }

  CausalLm& lm() { return *lm_; }

 private:
  ThreadPool pool_;
  std::unique_ptr<CausalLm> lm_;
  KvPool kv_;
  int64_t num_blocks_;
  int64_t next_block_ = 0;
};

inline std::vector<TokenId> ReadIds(const SafetensorsReader& reference, const std::string& name) {
  const std::vector<int64_t> ids = reference.Read<int64_t>(name);
  return {ids.begin(), ids.end()};
}

inline double StandardDeviation(const std::vector<float>& values) {
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  double squares = 0;
  for (const float value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size()));
}

inline double LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) largest = std::max<double>(largest, std::fabs(a[i] - b[i]));
  return largest;
}

}  // namespace autoglm
