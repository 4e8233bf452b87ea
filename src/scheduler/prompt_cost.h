#pragma once

#include <cstdint>

namespace autoglm {

// The prompt tokens of one step.
struct PromptWork {
  double tokens = 0;
  double pairs = 0;  // what attention looks at: each token with all before it

  void Add(int64_t context, int64_t num_tokens) {
    const auto count = static_cast<double>(num_tokens);
    tokens += count;
    pairs += count * (static_cast<double>(context) + count / 2);
  }
};

// What prompt tokens add to the time of a step, learned from the steps themselves: so much for each token, and so much for each
// pair. A line through seconds per token over pairs per token, fitted to steps of which the last ones count most.
class PromptCost {
 public:
  // A step whose prompt tokens took `seconds`.
  void Observe(const PromptWork& work, double seconds);

  bool is_known() const { return weight_ > 0; }
  // 0 where nothing is known.
  double Seconds(const PromptWork& work) const;
  // Of `num_tokens` behind `context` others.
  double Seconds(int64_t context, int64_t num_tokens) const;
  // How many tokens behind `context` others take no longer than `seconds`: at most `most`, which it is where nothing is known.
  int64_t TokensWithin(double seconds, int64_t context, int64_t most) const;

 private:
  void Fit();

  // Sums over steps, each worth less with every later one: x is pairs per token, y seconds per token.
  double weight_ = 0, sum_x_ = 0, sum_xx_ = 0, sum_y_ = 0, sum_xy_ = 0;
  double seconds_per_token_ = 0;
  double seconds_per_pair_ = 0;
};

}  // namespace autoglm
