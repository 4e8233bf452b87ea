#include "bench/engine_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "models/forward_work.h"

namespace autoglm {
namespace {

int64_t BlocksFor(int64_t num_tokens) { return (num_tokens + kKvBlockTokens - 1) / kKvBlockTokens; }

// Sequences of random tokens with their blocks, and the model that computes them.
class Sequences {
 public:
  static Result<Sequences> Create(CausalLm& lm, ThreadPool& pool, int64_t count, int64_t max_tokens) {
    AUTOGLM_TRY(KvPool kv, KvPool::Create(lm.kv_layout(), count * BlocksFor(max_tokens)));
    return Sequences(lm, pool, std::move(kv), count, max_tokens);
  }

  // Tokens [first, first + count) of every sequence in one pass.
  void Forward(int64_t first, int64_t count, ForwardSlice::Logits logits) {
    slices_.clear();
    slices_.reserve(static_cast<size_t>(count_));
    for (int64_t s = 0; s < count_; ++s) {
      slices_.push_back({.tokens = std::span(tokens_).subspan(s * max_tokens_ + first, count),
                         .first_position = first,
                         .block_table = std::span(blocks_).subspan(s * BlocksFor(max_tokens_), BlocksFor(first + count)),
                         .logits = logits});
    }
    lm_.Forward(slices_, kv_, pool_, logits_, nullptr);
  }
  // Tokens [0, count) of every sequence, in steps.
  void Prefill(int64_t count, int64_t step_tokens) {
    for (int64_t first = 0; first < count; first += step_tokens) {
      const int64_t n = std::min(step_tokens, count - first);
      Forward(first, n, first + n == count ? ForwardSlice::Logits::kLast : ForwardSlice::Logits::kNone);
    }
  }

 private:
  Sequences(CausalLm& lm, ThreadPool& pool, KvPool kv, int64_t count, int64_t max_tokens)
      : lm_(lm), pool_(pool), kv_(std::move(kv)), count_(count), max_tokens_(max_tokens), blocks_(kv_.num_blocks()) {
    std::iota(blocks_.begin(), blocks_.end(), 0);
    // A server's memory was used before: its pages are there.
    for (const int32_t block : blocks_) std::ranges::fill(kv_.Block(block), std::byte{0});
    Random random(1);
    tokens_.reserve(static_cast<size_t>(count * max_tokens));
    for (int64_t i = 0; i < count * max_tokens; ++i) {
      tokens_.push_back(static_cast<TokenId>(random.NextBelow(static_cast<uint64_t>(lm.config().vocab_size))));
    }
  }

  CausalLm& lm_;
  ThreadPool& pool_;
  KvPool kv_;
  int64_t count_;
  int64_t max_tokens_;
  std::vector<int32_t> blocks_;
  std::vector<TokenId> tokens_;
  std::vector<ForwardSlice> slices_;
  std::vector<float> logits_;
};

// Every result, with nothing measured yet.
std::vector<EngineBenchResult> PlanResults(const EngineBenchOptions& options) {
  std::vector<EngineBenchResult> results;
  results.reserve(options.prefill.size() + options.depth.size() * options.batch.size());
  for (const int64_t tokens : options.prefill) {
    results.push_back({.kind = EngineBenchResult::Kind::kPrefill, .tokens = tokens, .tokens_per_s = {}});
  }
  for (const int64_t depth : options.depth) {
    for (const int64_t batch : options.batch) {
      if (options.decode == 0) continue;
      results.push_back({.kind = EngineBenchResult::Kind::kDecode,
                         .tokens = options.decode,
                         .batch = batch,
                         .depth = depth,
                         .tokens_per_s = {}});
    }
  }
  return results;
}

std::string Describe(const EngineBenchResult& result) {
  if (result.kind == EngineBenchResult::Kind::kPrefill) return fmt::format("prefill of {}", result.tokens);
  return fmt::format("decode, batch of {} at depth {}", result.batch, result.depth);
}

Result<double> Measure(CausalLm& lm, ThreadPool& pool, const EngineBenchOptions& options, const EngineBenchResult& result) {
  const bool is_prefill = result.kind == EngineBenchResult::Kind::kPrefill;
  const int64_t max_tokens = is_prefill ? result.tokens : result.depth + result.tokens + 1;
  if (max_tokens > lm.config().context_length) {
    return Fail(ErrorCode::kContextLengthExceeded, fmt::format("a {} needs {} tokens of context, but the model has {}",
                                                               Describe(result), max_tokens, lm.config().context_length));
  }
  AUTOGLM_TRY(Sequences sequences, Sequences::Create(lm, pool, result.batch, max_tokens));
  if (is_prefill) {
    const TimePoint started = Clock::Real().Now();
    sequences.Prefill(result.tokens, options.step_tokens);
    return static_cast<double>(result.tokens) / Seconds(Clock::Real().Now() - started);
  }
  sequences.Prefill(result.depth, std::max<int64_t>(options.step_tokens / result.batch, 1));
  sequences.Forward(result.depth, 1, ForwardSlice::Logits::kLast);  // touches memory for the first time
  const TimePoint started = Clock::Real().Now();
  for (int64_t i = 1; i <= result.tokens; ++i) sequences.Forward(result.depth + i, 1, ForwardSlice::Logits::kLast);
  return static_cast<double>(result.tokens * result.batch) / Seconds(Clock::Real().Now() - started);
}

}  // namespace

double EngineBenchResult::median() const {
  if (tokens_per_s.empty()) return 0;
  std::vector<double> sorted = tokens_per_s;
  std::ranges::sort(sorted);
  const size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

StepLimit LimitOf(const CausalLm& lm, const MachinePeaks& peaks, int64_t num_sequences, int64_t num_tokens, int64_t depth) {
  const ForwardWork work = lm.WorkOf({.num_sequences = num_sequences, .num_tokens = num_tokens, .depth = depth});
  const double memory = static_cast<double>(work.bytes_read) / peaks.read_bytes_per_s;
  double compute = 0;
  for (const ForwardWork::Products& products : work.products) {
    compute += 2 * products.multiplications / peaks.OpsPerSecond(products.op);
  }
  return memory > compute ? StepLimit{memory, Bound::kMemory} : StepLimit{compute, Bound::kCompute};
}

void SetLimits(const CausalLm& lm, const MachinePeaks& peaks, const EngineBenchOptions& options,
               std::vector<EngineBenchResult>& results) {
  for (EngineBenchResult& result : results) {
    if (result.kind == EngineBenchResult::Kind::kDecode) {
      const StepLimit limit = LimitOf(lm, peaks, result.batch, 1, result.depth + result.tokens / 2);
      result.limit_tokens_per_s = static_cast<double>(result.batch) / limit.seconds;
      result.bound = limit.bound;
      continue;
    }
    double seconds = 0;
    for (int64_t first = 0; first < result.tokens; first += options.step_tokens) {
      const StepLimit limit = LimitOf(lm, peaks, 1, std::min(options.step_tokens, result.tokens - first), first);
      seconds += limit.seconds;
      result.bound = limit.bound;
    }
    result.limit_tokens_per_s = static_cast<double>(result.tokens) / seconds;
  }
}

Result<std::vector<EngineBenchResult>> RunEngineBench(CausalLm& lm, ThreadPool& pool, const EngineBenchOptions& options,
                                                      const std::function<void(std::string_view)>& report) {
  report("loading the model");
  while (!lm.load_progress().is_complete()) lm.LoadNext(pool);
  report("warming up");
  AUTOGLM_TRY(Sequences warm_up, Sequences::Create(lm, pool, 1, 64));
  warm_up.Prefill(64, options.step_tokens);

  std::vector<EngineBenchResult> results = PlanResults(options);
  for (int64_t repetition = 0; repetition < options.repetitions; ++repetition) {
    for (EngineBenchResult& result : results) {
      report(fmt::format("{}, {} of {}", Describe(result), repetition + 1, options.repetitions));
      AUTOGLM_TRY(const double rate, Measure(lm, pool, options, result));
      result.tokens_per_s.push_back(rate);
    }
  }
  return results;
}

}  // namespace autoglm
