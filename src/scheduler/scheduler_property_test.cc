#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/random.h"
#include "scheduler/fake_runner.h"
#include "scheduler/scheduler.h"

namespace autoglm {
namespace {

struct WorldOptions {
  int64_t num_blocks = 0;
  int64_t num_requests = 0;
  int64_t max_prompt_tokens = 0;
  int64_t max_answer_tokens = 0;
  int64_t arrival_chance = 0;  // percent of steps with an arrival
  int64_t cancel_chance = 0;   // percent of steps with a cancellation
  int64_t num_priorities = 3;
  SchedulerOptions scheduler = {};
};

// A scheduler's whole life under random arrivals and cancellations, with everything checked after every call.
class World {
 public:
  World(const WorldOptions& options, uint64_t seed)
      : options_(options),
        random_(seed),
        blocks_(options.num_blocks),
        runner_(options.num_blocks),
        scheduler_(options.scheduler, blocks_, clock_) {
    for (auto& stem : stems_) stem = RandomTokens(options.max_prompt_tokens);
    blocks_.SetCopy([this](BlockIndex from, BlockIndex to) { runner_.CopyBlock(from, to); });
    blocks_.SetCost([](int64_t first_token, int64_t num_tokens, const BlockKey& key) {
      return static_cast<double>(num_tokens * (300 + first_token)) / static_cast<double>(1 + key.low % 3);
    });
  }

  void RunToTheEnd() {
    for (int64_t step = 0; num_sent_ < options_.num_requests || scheduler_.HasWork(); ++step) {
      ASSERT_LT(step, kMaxSteps) << "livelock";
      SCOPED_TRACE(testing::Message() << "step " << step);
      Arrive();
      Cancel();
      Step();
      if (testing::Test::HasFailure()) return;
      ++num_steps_;
    }
    EXPECT_EQ(num_finished_ + num_cancelled_ + num_expired_ + num_refused_, num_sent_);
    EXPECT_EQ(blocks_.stats().num_used, 0);
  }

  int64_t num_steps() const { return num_steps_; }
  const SpeculationStats& speculation() const { return scheduler_.speculation(); }
  int64_t num_finished() const { return num_finished_; }
  int64_t num_cancelled() const { return num_cancelled_; }
  int64_t num_refused() const { return num_refused_; }
  int64_t num_preemptions() const { return scheduler_.num_preemptions(); }
  int64_t num_tokens_computed() const { return runner_.num_tokens_computed(); }
  BlockManagerStats blocks() const { return blocks_.stats(); }

 private:
  static constexpr int64_t kMaxSteps = 200'000;

  bool Chance(int64_t percent) { return static_cast<int64_t>(random_.NextBelow(100)) < percent; }
  int64_t UpTo(int64_t bound) { return 1 + static_cast<int64_t>(random_.NextBelow(static_cast<uint64_t>(bound))); }
  std::vector<TokenId> RandomTokens(int64_t count) {
    std::vector<TokenId> tokens(static_cast<size_t>(count));
    for (TokenId& token : tokens) token = static_cast<TokenId>(random_.NextBelow(FakeRunner::kVocabSize));
    return tokens;
  }

  // A stem's beginning, often followed by something of its own; sometimes a whole earlier conversation.
  Request MakeRequest() {
    Request request;
    const auto& stem = Chance(20) && !last_answer_.empty() ? last_answer_ : stems_[random_.NextBelow(3)];
    const int64_t length = UpTo(std::min(options_.max_prompt_tokens, std::ssize(stem)));
    request.prompt_tokens.assign(stem.begin(), stem.begin() + length);
    if (Chance(50)) {
      const auto own = RandomTokens(UpTo(40));
      request.prompt_tokens.insert(request.prompt_tokens.end(), own.begin(), own.end());
    }
    request.sampling.max_tokens = UpTo(options_.max_answer_tokens);
    request.sampling.ignore_eos = Chance(50);
    request.tenant = Chance(70) ? 0 : static_cast<uint64_t>(UpTo(3));
    const auto differs = std::ranges::mismatch(request.prompt_tokens, stems_[0]).in1;
    request.cache_scope = {request.tenant, differs - request.prompt_tokens.begin()};  // a stem that is everybody's
    if (Chance(10)) request.deadline = clock_.Now() + std::chrono::seconds(UpTo(500));
    if (Chance(20)) request.target = std::chrono::seconds(UpTo(100));
    request.priority = UpTo(options_.num_priorities) - 1;
    if (Chance(20)) request.num_continued = UpTo(std::min(std::ssize(request.prompt_tokens), request.sampling.max_tokens)) - 1;
    return request;
  }

  void Arrive() {
    while (num_sent_ < options_.num_requests && Chance(options_.arrival_chance)) {
      ++num_sent_;
      const auto sequence = scheduler_.Enqueue(MakeRequest(), nullptr);
      if (sequence) {
        live_.emplace((*sequence)->arrival, *sequence);
      } else {
        ++num_refused_;
      }
    }
  }

  void Cancel() {
    if (!live_.empty() && Chance(options_.cancel_chance)) {
      std::next(live_.begin(), static_cast<ptrdiff_t>(random_.NextBelow(live_.size())))->second->request.cancel.Cancel();
    }
    for (const SequenceUpdate& update : scheduler_.DropCancelled()) {
      const Request& request = update.sequence->request;
      if (update.finish == FinishReason::kDeadline) {
        EXPECT_TRUE(*request.deadline <= clock_.Now() || update.sequence->num_generated() == 0);
        ++num_expired_;
      } else {
        EXPECT_TRUE(request.cancel.IsCancelled());
        ++num_cancelled_;
      }
      Retire(update.sequence);
    }
    CheckIntegrity();
  }

  void Step() {
    const Sequence* first = nullptr;
    for (const auto& [arrival, sequence] : live_) {
      if (first == nullptr || sequence->place() < first->place()) first = sequence;
    }
    std::vector<std::pair<const Sequence*, int64_t>> streams;  // and how often they were preempted
    for (const Sequence* sequence : scheduler_.running()) {
      if (IsStream(sequence)) streams.emplace_back(sequence, sequence->times.num_preemptions);
    }
    const StepPlan& plan = scheduler_.Plan();
    CheckIntegrity();
    EXPECT_EQ(plan.empty(), !scheduler_.HasWork());
    const TokenBudget& budget = options_.scheduler.budget;
    const bool has_streams = std::ranges::any_of(streams, [&](const auto& stream) {
      return stream.first->times.num_preemptions == stream.second && !scheduler_.IsPaused(*stream.first);
    });
    EXPECT_LE(plan.num_tokens, has_streams ? budget.max_tokens_with_decode : budget.max_tokens);
    if (first != nullptr) CheckFirst(*first, plan, std::ssize(streams));
    StepResult result = runner_.Run(plan);
    // A machine of any speed, sometimes disturbed.
    result.seconds = 0.001 + 0.002 * static_cast<double>(plan.num_tokens * UpTo(Chance(5) ? 50 : 2));
    const auto updates = scheduler_.Commit(result);
    clock_.Advance(std::chrono::seconds(UpTo(3)));
    CheckIntegrity();
    EXPECT_LE(updates.size(), result.sampled.size());  // what was drafted behind the end of an answer is nobody's
    EXPECT_GE(updates.size(), result.num_sampled.size());
    for (const SequenceUpdate& update : updates) Take(update);
  }

  static bool IsStream(const Sequence* sequence) { return sequence->num_generated() > 0 && sequence->num_to_compute() == 1; }

  // The first in line is never preempted, and gets its token in every step that has one for every stream.
  void CheckFirst(const Sequence& first, const StepPlan& plan, int64_t num_streams) {
    const bool stays = first.arrival == first_arrival_;
    if (stays) {
      EXPECT_EQ(first.times.num_preemptions, first_preemptions_);
    }
    first_arrival_ = first.arrival;
    first_preemptions_ = first.times.num_preemptions;
    const bool was_paused = std::exchange(first_was_paused_, false) && stays;
    if (first.state != SequenceState::kRunning || !IsStream(&first)) return;
    if (scheduler_.IsPaused(first)) {
      EXPECT_FALSE(was_paused) << "twice in a row";
      first_was_paused_ = true;
      return;
    }
    if (num_streams > options_.scheduler.budget.max_tokens_with_decode) return;
    EXPECT_TRUE(std::ranges::any_of(plan.slices, [&](const auto& slice) { return slice.sequence == &first; }));
  }

  void Take(const SequenceUpdate& update) {
    const Sequence& sequence = *update.sequence;
    auto& delivered = delivered_[sequence.arrival];
    if (update.token) delivered.push_back(*update.token);
    if (!update.finish) return;
    ++num_finished_;
    const int64_t max_sequence_tokens = std::min(options_.scheduler.context_length, options_.num_blocks * kBlockSizeTokens);
    EXPECT_EQ(sequence.tokens, FakeRunner::AnswerAlone(sequence.request, max_sequence_tokens));
    const bool stopped = sequence.tokens.back() == FakeRunner::kEos && !sequence.request.sampling.ignore_eos;
    EXPECT_EQ(update.finish, stopped ? FinishReason::kStop : FinishReason::kLength);
    const auto answer_end = sequence.tokens.end() - (stopped ? 1 : 0);
    EXPECT_EQ(delivered, std::vector(sequence.tokens.begin() + sequence.num_given(), answer_end));
    last_answer_ = sequence.tokens;
    Retire(update.sequence);
  }

  void Retire(Sequence* sequence) {
    delivered_.erase(sequence->arrival);
    live_.erase(sequence->arrival);
    scheduler_.Retire(sequence);
  }

  void CheckIntegrity() const {
    const auto status = scheduler_.CheckIntegrity();
    ASSERT_TRUE(status) << status.error().message;
  }

  const WorldOptions options_;
  Random random_;
  ManualClock clock_;
  BlockManager blocks_;
  FakeRunner runner_;
  Scheduler scheduler_;
  std::vector<TokenId> stems_[3];
  std::vector<TokenId> last_answer_;
  std::map<int64_t, Sequence*> live_;  // by arrival
  std::map<int64_t, std::vector<TokenId>> delivered_;
  int64_t first_arrival_ = 0;
  int64_t first_preemptions_ = 0;
  bool first_was_paused_ = false;
  int64_t num_sent_ = 0;
  int64_t num_refused_ = 0;
  int64_t num_finished_ = 0;
  int64_t num_cancelled_ = 0;
  int64_t num_expired_ = 0;
  int64_t num_steps_ = 0;
};

SchedulerOptions Options(TokenBudget budget, int64_t max_running, int64_t max_waiting) {
  return {.budget = budget,
          .max_running = max_running,
          .max_waiting = max_waiting,
          .context_length = 400,
          .vocab_size = FakeRunner::kVocabSize,
          .eos_tokens = {FakeRunner::kEos}};
}

// AUTOGLM_PROPERTY_RUNS=100 runs a hundred times as many seeds: some fifteen million steps.
uint64_t NumRuns() {
  const char* runs = std::getenv("AUTOGLM_PROPERTY_RUNS");
  return runs == nullptr ? 1 : std::strtoull(runs, nullptr, 10);
}

void RunSeeds(const WorldOptions& options, uint64_t num_seeds, bool expect_preemptions) {
  num_seeds *= NumRuns();
  int64_t num_steps = 0;
  int64_t num_tokens = 0;
  int64_t num_preemptions = 0;
  int64_t num_hits = 0;
  SpeculationStats speculation;
  for (uint64_t seed = 1; seed <= num_seeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    World world(options, seed);
    world.RunToTheEnd();
    if (testing::Test::HasFailure()) return;
    EXPECT_GT(world.num_finished(), options.num_requests / 10);
    EXPECT_GT(world.num_cancelled(), 0);
    num_hits += world.blocks().prefix_hits;
    num_steps += world.num_steps();
    num_tokens += world.num_tokens_computed();
    num_preemptions += world.num_preemptions();
    speculation.num_drafted += world.speculation().num_drafted;
    speculation.num_accepted += world.speculation().num_accepted;
  }
  EXPECT_GT(num_hits, 0);
  EXPECT_GT(speculation.num_accepted, 0);
  EXPECT_LT(speculation.num_accepted, speculation.num_drafted);
  EXPECT_EQ(num_preemptions > 0, expect_preemptions);
  fmt::print("seeds 1..{}: {} steps, {} tokens computed, {} found in the cache, {} preemptions, {} of {} drafted tokens right\n",
             num_seeds, num_steps, num_tokens, num_hits, num_preemptions, speculation.num_accepted, speculation.num_drafted);
}

TEST(SchedulerProperty, RoomyPool_GivesEveryAnswerAsIfAlone) {
  RunSeeds({.num_blocks = 400,
            .num_requests = 200,
            .max_prompt_tokens = 200,
            .max_answer_tokens = 60,
            .arrival_chance = 30,
            .cancel_chance = 5,
            .num_priorities = 1,
            .scheduler = Options({.max_tokens = 128, .max_tokens_with_decode = 48}, 16, 100)},
           8, false);
}

TEST(SchedulerProperty, TinyPool_PreemptsAndStillGivesEveryAnswer) {
  RunSeeds({.num_blocks = 14,
            .num_requests = 150,
            .max_prompt_tokens = 80,
            .max_answer_tokens = 300,
            .arrival_chance = 10,
            .cancel_chance = 1,
            .scheduler = Options({.max_tokens = 64, .max_tokens_with_decode = 24}, 12, 100)},
           12, true);
}

TEST(SchedulerProperty, PoolOfFewBlocks_EndsAnswersAtItsEdge) {
  RunSeeds({.num_blocks = 4,
            .num_requests = 100,
            .max_prompt_tokens = 60,
            .max_answer_tokens = 200,
            .arrival_chance = 5,
            .cancel_chance = 1,
            .scheduler = Options({.max_tokens = 32, .max_tokens_with_decode = 16}, 8, 40)},
           12, true);
}

TEST(SchedulerProperty, SlowPromptsBesideStreams_GetThroughAFullPool) {
  RunSeeds({.num_blocks = 12,
            .num_requests = 60,
            .max_prompt_tokens = 200,
            .max_answer_tokens = 300,
            .arrival_chance = 5,
            .cancel_chance = 1,
            .scheduler = Options({.max_tokens = 8, .max_tokens_with_decode = 3}, 8, 60)},
           12, true);
}

TEST(SchedulerProperty, FewerTokensThanStreams_TakeTurnsToTheEnd) {
  RunSeeds({.num_blocks = 12,
            .num_requests = 80,
            .max_prompt_tokens = 30,
            .max_answer_tokens = 200,
            .arrival_chance = 20,
            .cancel_chance = 1,
            .scheduler = Options({.max_tokens = 7, .max_tokens_with_decode = 3}, 12, 60)},
           8, true);
}

}  // namespace
}  // namespace autoglm
