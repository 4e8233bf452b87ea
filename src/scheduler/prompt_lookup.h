#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "sampling/sampling_params.h"

namespace autoglm {

// Guesses how a sequence goes on from what it repeats: where its last tokens have stood before (the longest of 4, 3 or 2), the
// tokens that followed there are the draft. Source: prompt lookup decoding (Saxena 2023). No model is asked, so a guess costs
// nothing but its check.
//
// Keeps for every n-gram of a sequence the place where it stood last, in one open hash table that grows with the sequence.
class PromptLookup {
 public:
  static constexpr int kNumLengths = 3;
  static constexpr int64_t kLengths[kNumLengths] = {4, 3, 2};

  // Where a draft comes from.
  struct Match {
    int length_index = -1;  // of kLengths; -1: nothing repeats
    int64_t next = 0;       // of the token that followed
    bool found() const { return length_index >= 0; }
  };
  // Looks up the last tokens. `tokens` is the sequence, longer at every call.
  Match Find(std::span<const TokenId> tokens);
  // Up to `count` tokens from `next` on; a match that runs into the end of the sequence repeats itself.
  static void Draft(std::span<const TokenId> tokens, int64_t next, int64_t count, std::vector<TokenId>& draft);

 private:
  // Place of an n-gram that ends before token `end`: end * kNumLengths + length_index + 1; 0 is empty.
  using Place = int64_t;
  static uint64_t HashOf(std::span<const TokenId> ngram);
  Place* Slot(std::span<const TokenId> tokens, int64_t end, int length_index);
  void Index(std::span<const TokenId> tokens, int64_t end);

  std::vector<Place> table_;  // a power of two of places
  int64_t num_used_ = 0;
  int64_t num_indexed_ = 0;  // all n-grams that end before this token are in the table
};

}  // namespace autoglm
