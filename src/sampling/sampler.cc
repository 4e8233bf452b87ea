#include "sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "sampling/nucleus.h"

namespace autoglm {
namespace {

// Below this, dividing by the temperature leaves nothing but the best token (vLLM draws the same line).
constexpr float kGreedyTemperature = 1e-5f;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool HasPenalty(const SamplingParams& params) {
  return params.presence_penalty != 0 || params.frequency_penalty != 0 || params.repetition_penalty != 1;
}

// The n-th number of the stream of `seed`, in [0, 1), without drawing those before it.
double UniformAt(uint64_t seed, int64_t n) { return Random(seed ^ Random(static_cast<uint64_t>(n)).NextU64()).NextDouble(); }

}  // namespace

Sampler::Sampler(const SamplingParams& params, uint64_t seed, std::span<const TokenId> prompt, int64_t num_sampleable)
    : params_(params), seed_(params.seed.value_or(seed)), num_sampleable_(num_sampleable) {
  AUTOGLM_CHECK(num_sampleable > 0);
  // Tokens that cannot be chosen need neither bias nor penalty.
  std::erase_if(params_.logit_bias, [this](const auto& bias) { return !IsSampleable(bias.first); });
  if (HasPenalty(params_)) CountPrompt(prompt);
  ReserveScratch();
}

void Sampler::CountPrompt(std::span<const TokenId> prompt) {
  if (params_.repetition_penalty != 1) {
    std::vector<TokenId> tokens(prompt.begin(), prompt.end());
    std::erase_if(tokens, [this](TokenId token) { return !IsSampleable(token); });
    std::sort(tokens.begin(), tokens.end());
    tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
    for (const TokenId token : tokens) seen_tokens_.push_back({.token = token, .num_generated = 0});
  }
  const auto num_prompt = static_cast<int64_t>(seen_tokens_.size());
  seen_tokens_.reserve(
      static_cast<size_t>(std::min(num_sampleable_, num_prompt + std::min(params_.max_tokens, num_sampleable_))));
}

void Sampler::ReserveScratch() {
  const auto vocab_size = static_cast<size_t>(num_sampleable_);
  const bool is_limited = params_.top_k > 0 && params_.top_k < num_sampleable_;
  if (IsGreedy()) return;
  block_sums_.resize(NumScanBlocks(vocab_size));
  if (is_limited) {
    candidates_.reserve(std::min(vocab_size, TopKCapacity(static_cast<size_t>(params_.top_k))));
  } else if (params_.top_p < 1) {
    // The whole vocabulary only where the model has no preference; memory never written to costs nothing.
    candidates_.reserve(vocab_size);
  }
}

bool Sampler::IsGreedy() const { return params_.temperature < kGreedyTemperature || params_.top_k == 1; }

TokenId Sampler::Sample(std::span<float> logits, std::span<const TokenId> eos_tokens) {
  AUTOGLM_CHECK(static_cast<int64_t>(logits.size()) >= num_sampleable_);
  logits = logits.first(static_cast<size_t>(num_sampleable_));
  for (const auto& [token, bias] : params_.logit_bias) logits[static_cast<size_t>(token)] += bias;
  ApplyPenalties(logits);
  if (num_sampled_ < params_.min_tokens) {
    for (const TokenId token : eos_tokens) {
      if (IsSampleable(token)) logits[static_cast<size_t>(token)] = -kInfinity;
    }
  }

  const TokenId token = Choose(logits, eos_tokens);
  Count(token);
  return token;
}

void Sampler::Replay(std::span<const TokenId> tokens) {
  for (const TokenId token : tokens) Count(token);
}

void Sampler::ApplyPenalties(std::span<float> logits) const {
  for (const auto& [token, num_generated] : seen_tokens_) {
    float& logit = logits[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / params_.repetition_penalty : logit * params_.repetition_penalty;
    if (num_generated == 0) continue;
    logit -= params_.frequency_penalty * static_cast<float>(num_generated) + params_.presence_penalty;
  }
}

TokenId Sampler::Choose(std::span<float> logits, std::span<const TokenId> eos_tokens) {
  const BestLogit best = FindBest(logits);
  if (best.logit == -kInfinity) {
    const auto eos = std::find_if(eos_tokens.begin(), eos_tokens.end(), [this](TokenId token) { return IsSampleable(token); });
    return eos == eos_tokens.end() ? 0 : *eos;
  }
  // Against an infinite logit, no other has a chance.
  if (IsGreedy() || best.logit == kInfinity) return best.token;

  const Softmax softmax{.max_logit = best.logit, .inverse_temperature = 1 / params_.temperature};
  // p >= min_p * p_best, as a bound on the logit.
  float floor = params_.min_p > 0 ? best.logit + params_.temperature * std::log(params_.min_p) : -kInfinity;
  const double uniform = UniformAt(seed_, num_sampled_);
  const bool has_top_k = params_.top_k > 0 && params_.top_k < num_sampleable_;
  if (has_top_k) return ChooseFromTopK(logits, softmax, floor, uniform);

  const double total = SumWeights(logits, softmax, floor, block_sums_);
  if (params_.top_p < 1) {
    floor = CutToNucleus(logits, softmax, floor, params_.top_p * total, candidates_);
    SumWeights(logits, softmax, floor, block_sums_);
  }
  return DrawFromAll(logits, softmax, floor, block_sums_, uniform);
}

TokenId Sampler::ChooseFromTopK(std::span<const float> logits, const Softmax& softmax, float floor, double uniform) {
  GatherTopK(logits, static_cast<size_t>(params_.top_k), floor, candidates_);
  const double total = Weigh(softmax, candidates_);
  if (params_.top_p < 1) candidates_.resize(SortOutNucleus(params_.top_p * total, candidates_));
  return Draw(candidates_, uniform);
}

void Sampler::Count(TokenId token) {
  ++num_sampled_;
  if (!HasPenalty(params_)) return;
  const auto place = std::lower_bound(seen_tokens_.begin(), seen_tokens_.end(), token,
                                      [](const SeenToken& seen, TokenId wanted) { return seen.token < wanted; });
  if (place != seen_tokens_.end() && place->token == token) {
    ++place->num_generated;
  } else {
    seen_tokens_.insert(place, {.token = token, .num_generated = 1});
  }
}

}  // namespace autoglm
