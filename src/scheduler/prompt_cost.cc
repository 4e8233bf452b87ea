#include "scheduler/prompt_cost.h"

#include <algorithm>
#include <cmath>

namespace autoglm {
namespace {

// What a step is worth when the next is seen: some ten steps count.
constexpr double kRemembering = 0.9;
// A step that took many times as long says something about the machine, not about its tokens.
constexpr double kMostSurprise = 2;
// Contexts must differ by some hundreds of tokens before a slope is believed; nearer ones leave it as it was.
constexpr double kSlopeNeeds = 300.0 * 300.0;
// However the line lies, a token costs at least this share of the mean.
constexpr double kLeastShare = 0.1;

}  // namespace

void PromptCost::Observe(const PromptWork& work, double seconds) {
  if (work.tokens <= 0 || seconds <= 0) return;
  const double x = work.pairs / work.tokens;
  double y = seconds / work.tokens;
  if (is_known()) y = std::min(y, kMostSurprise * (seconds_per_token_ + seconds_per_pair_ * x));
  for (double* sum : {&weight_, &sum_x_, &sum_xx_, &sum_y_, &sum_xy_}) *sum *= kRemembering;
  weight_ += 1;
  sum_x_ += x;
  sum_xx_ += x * x;
  sum_y_ += y;
  sum_xy_ += x * y;
  Fit();
}

void PromptCost::Fit() {
  const double mean_x = sum_x_ / weight_;
  const double mean_y = sum_y_ / weight_;
  const double variance = std::max(0.0, sum_xx_ / weight_ - mean_x * mean_x);
  const double covariance = sum_xy_ / weight_ - mean_x * mean_y;
  const double slope = (covariance + kSlopeNeeds * seconds_per_pair_) / (variance + kSlopeNeeds);
  const double steepest = mean_x > 0 ? (1 - kLeastShare) * mean_y / mean_x : 0.0;
  seconds_per_pair_ = std::clamp(slope, 0.0, steepest);
  seconds_per_token_ = mean_y - seconds_per_pair_ * mean_x;
}

double PromptCost::Seconds(const PromptWork& work) const {
  return seconds_per_token_ * work.tokens + seconds_per_pair_ * work.pairs;
}

double PromptCost::Seconds(int64_t context, int64_t num_tokens) const {
  PromptWork work;
  work.Add(context, num_tokens);
  return Seconds(work);
}

int64_t PromptCost::TokensWithin(double seconds, int64_t context, int64_t most) const {
  if (!is_known()) return most;
  if (seconds <= 0) return 0;
  // seconds = linear n + square n^2, solved so that a tiny `square` loses nothing.
  const double linear = seconds_per_token_ + seconds_per_pair_ * static_cast<double>(context);
  const double square = seconds_per_pair_ / 2;
  const double count = 2 * seconds / (linear + std::sqrt(linear * linear + 4 * square * seconds));
  return count < static_cast<double>(most) ? static_cast<int64_t>(count) : most;
}

}  // namespace autoglm
