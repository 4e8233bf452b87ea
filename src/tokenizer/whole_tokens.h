#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace autoglm {

// Whether the merges of a token's bytes give that token, learnt when first needed: most pieces are one token, and need no
// merging then. Any thread; all would write the same.
class WholeTokens {
 public:
  explicit WholeTokens(TokenId num_tokens) : answers_(std::make_unique<std::atomic<Answer>[]>(static_cast<size_t>(num_tokens))) {}

  // Appends `token` where it is known to be what its bytes merge to, else what `merge(tokens)` appends.
  template <typename Merge>
  void Append(TokenId token, std::vector<TokenId>& tokens, const Merge& merge) const {
    std::atomic<Answer>& answer = answers_[static_cast<size_t>(token)];
    const Answer known = answer.load(std::memory_order_relaxed);
    if (known == Answer::kYes) return tokens.push_back(token);
    const size_t num_before = tokens.size();
    merge(tokens);
    if (known == Answer::kNo) return;
    const bool gives_token = tokens.size() == num_before + 1 && tokens.back() == token;
    answer.store(gives_token ? Answer::kYes : Answer::kNo, std::memory_order_relaxed);
  }

 private:
  enum class Answer : uint8_t { kNotKnown, kYes, kNo };
  std::unique_ptr<std::atomic<Answer>[]> answers_;
};

}  // namespace autoglm
