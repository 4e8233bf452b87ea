#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <span>
#include <vector>

#include "scheduler/sequence.h"
#include "scheduler/step_plan.h"

namespace autoglm {

// A model for tests. Its KV of a token is a hash of all tokens up to that one (and of the tenant), kept per slot of the
// block pool as a real model keeps keys and values. Every slice checks that the slots of all earlier tokens hold the KV of
// exactly this sequence, so a stale, foreign or overwritten block is found the moment it is read. The generated token is a
// function of all tokens before it, so an answer does not depend on batching, chunks, cache or preemption.
class FakeRunner {
 public:
  static constexpr TokenId kEos = 0;
  static constexpr int64_t kVocabSize = 1000;

  explicit FakeRunner(int64_t num_blocks) : slots_(static_cast<size_t>(num_blocks * kBlockSizeTokens), 0) {}

  // For BlockManager::SetCopy.
  void CopyBlock(BlockIndex from, BlockIndex to) {
    std::copy_n(slots_.begin() + int64_t{from} * kBlockSizeTokens, kBlockSizeTokens,
                slots_.begin() + int64_t{to} * kBlockSizeTokens);
  }

  StepResult Run(const StepPlan& plan) {
    std::set<const Sequence*> seen;
    int64_t num_tokens = 0;
    for (const SequenceSlice& slice : plan.slices) {
      EXPECT_TRUE(seen.insert(slice.sequence).second) << "a sequence has two slices";
      CheckSlice(slice);
      Write(slice);
      num_tokens += slice.num_tokens + std::ssize(slice.draft);
    }
    EXPECT_EQ(plan.num_tokens, num_tokens);
    num_tokens_computed_ += num_tokens;

    StepResult result;
    for (const SequenceSlice& slice : plan.slices) {
      CheckSlots(slice);
      if (slice.samples) Sample(slice, result);
    }
    return result;
  }

  // One answer in forty or so ends at any given token. Sequences that begin with a multiple of three mostly know only their
  // last two tokens, so that they soon repeat themselves, but not for ever.
  static TokenId NextToken(std::span<const TokenId> tokens) {
    uint64_t hash = 1;
    if (tokens.size() > 2 && tokens[0] % 3 == 0 && tokens.size() % 13 != 0) {
      hash = Mix(Mix(hash, tokens[tokens.size() - 2] % 5), tokens.back() % 5);
      return static_cast<TokenId>(1 + (hash >> 20) % 20);
    }
    for (const TokenId token : tokens) hash = Mix(hash, token);
    return hash % 40 == 0 ? kEos : static_cast<TokenId>(1 + (hash >> 20) % (kVocabSize - 1));
  }

  // What the sequence must hold in the end if it was alone and never cancelled.
  static std::vector<TokenId> AnswerAlone(const Request& request, int64_t max_sequence_tokens) {
    std::vector<TokenId> tokens = request.prompt_tokens;
    for (int64_t i = request.num_continued; i < request.sampling.max_tokens && std::ssize(tokens) < max_sequence_tokens; ++i) {
      tokens.push_back(NextToken(tokens));
      if (tokens.back() == kEos && !request.sampling.ignore_eos) break;
    }
    return tokens;
  }

  int64_t num_tokens_computed() const { return num_tokens_computed_; }

 private:
  static uint64_t Mix(uint64_t hash, TokenId token) {
    hash = (hash ^ static_cast<uint64_t>(token + 1)) * 0x9e3779b97f4a7c15ULL;
    return hash ^ (hash >> 29);
  }

  static void CheckSlice(const SequenceSlice& slice) {
    const Sequence& sequence = *slice.sequence;
    EXPECT_EQ(slice.first_token, sequence.num_computed);
    EXPECT_GT(slice.num_tokens, 0);
    EXPECT_LE(slice.first_token + slice.num_tokens, sequence.num_tokens());
    EXPECT_EQ(slice.samples, slice.first_token + slice.num_tokens == sequence.num_tokens());
    EXPECT_GE(slice.first_token, sequence.block_table.num_shared * kBlockSizeTokens) << "a shared block would be written";
    const int64_t end = slice.first_token + slice.num_tokens + std::ssize(slice.draft);
    EXPECT_TRUE(slice.draft.empty() || slice.samples);
    EXPECT_LE(end, sequence.num_prompt_tokens + sequence.request.sampling.max_tokens - 1 + (slice.draft.empty() ? 1 : 0));
    ASSERT_GE(sequence.block_table.num_blocks(), NumBlocksFor(end));
  }

  static void Sample(const SequenceSlice& slice, StepResult& result) {
    std::vector<TokenId> tokens = slice.sequence->tokens;
    int64_t count = 0;
    while (true) {
      const TokenId token = NextToken(tokens);
      result.sampled.push_back(token);
      if (count == std::ssize(slice.draft) || slice.draft[static_cast<size_t>(count++)] != token) break;
      tokens.push_back(token);
    }
    result.num_sampled.push_back(std::ssize(tokens) - slice.sequence->num_tokens() + 1);
  }

  template <typename Visit>
  void ForEachSlot(const SequenceSlice& slice, Visit visit) {
    const Sequence& sequence = *slice.sequence;
    const CacheScope& scope = sequence.request.cache_scope;
    const int64_t num_public = scope.num_public_tokens / kBlockSizeTokens * kBlockSizeTokens;
    uint64_t kv = num_public > 0 ? 1 : scope.salt + 1;
    const int64_t num_known = slice.first_token + slice.num_tokens;
    for (int64_t t = 0; t < num_known + std::ssize(slice.draft); ++t) {
      if (num_public > 0 && t == num_public) kv ^= scope.salt + 1;
      kv = Mix(kv, t < num_known ? sequence.tokens[static_cast<size_t>(t)] : slice.draft[static_cast<size_t>(t - num_known)]);
      const BlockIndex block = sequence.block_table.blocks[static_cast<size_t>(t / kBlockSizeTokens)];
      visit(t, kv, slots_[static_cast<size_t>(block * kBlockSizeTokens + t % kBlockSizeTokens)]);
    }
  }
  void Write(const SequenceSlice& slice) {
    ForEachSlot(slice, [&](int64_t t, uint64_t kv, uint64_t& slot) {
      if (t >= slice.first_token) slot = kv;
    });
  }
  void CheckSlots(const SequenceSlice& slice) {
    int64_t num_wrong = 0;
    ForEachSlot(slice, [&](int64_t, uint64_t kv, const uint64_t& slot) { num_wrong += slot != kv ? 1 : 0; });
    EXPECT_EQ(num_wrong, 0) << "sequence " << slice.sequence->arrival << " reads KV that is not its own";
  }

  std::vector<uint64_t> slots_;  // [num_blocks * 32]
  int64_t num_tokens_computed_ = 0;
};

}  // namespace autoglm
