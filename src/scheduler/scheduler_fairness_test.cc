#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>
#include <vector>

#include "base/random.h"
#include "scheduler/scheduler_fixture.h"

namespace autoglm {
namespace {

class SchedulerFairnessTest : public SchedulerTest {
 protected:
  Sequence& AddOf(uint64_t tenant, int64_t num_prompt_tokens, int64_t max_tokens, int64_t priority = 0) {
    Request request = MakeRequest(num_prompt_tokens, max_tokens, next_first_ += 10'000);
    request.tenant = tenant;
    request.cache_scope = tenant;
    request.priority = priority;
    return Add(std::move(request));
  }
};

TEST_F(SchedulerFairnessTest, FloodOfOneTenant_DoesNotDelayAnother) {
  options_.max_running = 4;
  Reset(1000);
  for (int i = 0; i < 100; ++i) AddOf(1, 200, 20);
  for (int i = 0; i < 10; ++i) Step();
  clock_.Advance(std::chrono::seconds(100));
  const int64_t service_before = static_cast<int64_t>(scheduler_->line().service(1));
  Sequence& other = AddOf(2, 200, 20);
  while (other.num_generated() == 0) Step();
  // Those that ran, and one of each place that became free at the same time.
  EXPECT_LT(static_cast<int64_t>(scheduler_->line().service(1)) - service_before, 2 * 4 * (200 + 2 * 20));
  RunUntilIdle();
}

TEST_F(SchedulerFairnessTest, PromptAtWork_YieldsToATenantThatHadLess) {
  AddOf(1, 4000, 10);
  Step();
  Sequence& other = AddOf(2, 400, 10);
  Step();  // both begin with equal service, and the older goes first
  EXPECT_EQ(Planned(other), 128);
  Step();
  EXPECT_EQ(Planned(other), 400 - 128);
}

// Tenants that always have something waiting, with requests of very different sizes: at any time their service since they are all
// there differs by no more than one request for each place.
void ExpectFairService(int64_t max_running, int num_steps, uint64_t seed, SchedulerOptions options) {
  constexpr uint64_t kTenants = 4;
  constexpr int64_t kMostPrompt = 600;
  constexpr int64_t kMostAnswer = 60;
  options.max_running = max_running;
  options.max_waiting = 100'000;
  ManualClock clock;
  BlockManager blocks(2000);
  FakeRunner runner(2000);
  Scheduler scheduler(options, blocks, clock);
  Random random(seed);
  TokenId next_first = 0;
  const auto add = [&](uint64_t tenant) {
    Request request;
    // The first tenants send few long requests, the last many short ones.
    request.prompt_tokens.resize(1 + random.NextBelow(static_cast<uint64_t>(kMostPrompt) / tenant));
    std::ranges::fill(request.prompt_tokens, next_first++ % FakeRunner::kVocabSize);
    request.prompt_tokens[0] = next_first++;
    request.sampling.max_tokens = 1 + static_cast<int64_t>(random.NextBelow(kMostAnswer));
    request.tenant = tenant;
    request.cache_scope = tenant;
    ASSERT_TRUE(scheduler.Enqueue(std::move(request), nullptr));
  };
  std::array<int64_t, kTenants + 1> num_waiting{};
  const double bound = static_cast<double>(max_running + 1) * static_cast<double>(kMostPrompt + 2 * kMostAnswer);
  double widest = 0;
  for (int step = 0; step < num_steps; ++step) {
    num_waiting.fill(0);
    scheduler.line().ForEach([&](const Sequence& sequence) { ++num_waiting[sequence.request.tenant]; });
    for (uint64_t tenant = 1; tenant <= kTenants; ++tenant) {
      for (int64_t i = num_waiting[tenant]; i < 2 + max_running; ++i) add(tenant);
    }
    StepResult result = runner.Run(scheduler.Plan());
    result.seconds = 0.1;
    for (const SequenceUpdate& update : scheduler.Commit(result)) {
      if (update.finish) scheduler.Retire(update.sequence);
    }
    clock.Advance(std::chrono::milliseconds(100));
    double least = std::numeric_limits<double>::infinity();
    double most = 0;
    for (uint64_t tenant = 1; tenant <= kTenants; ++tenant) {
      least = std::min(least, scheduler.line().service(tenant));
      most = std::max(most, scheduler.line().service(tenant));
    }
    widest = std::max(widest, most - least);
    ASSERT_LE(most - least, bound) << "seed " << seed << " step " << step;
    ASSERT_TRUE(scheduler.CheckIntegrity());
  }
  EXPECT_GT(scheduler.line().service(1), 20 * widest) << "too short a test";
  for (const SequenceUpdate& update : scheduler.DropAll(FinishReason::kCancelled)) scheduler.Retire(update.sequence);
}

TEST_F(SchedulerFairnessTest, OnePlace_ServiceStaysWithinARequestOfFair) {
  for (uint64_t seed = 1; seed <= 4; ++seed) ExpectFairService(1, 10'000, seed, options_);
}

TEST_F(SchedulerFairnessTest, ManyPlaces_ServiceStaysWithinARequestForEach) {
  for (uint64_t seed = 1; seed <= 4; ++seed) ExpectFairService(8, 3000, seed, options_);
}

// A tenant that floods at the highest priority is first until it is 30 seconds of service ahead; then the others get their share.
TEST_F(SchedulerFairnessTest, UrgentFlood_HoldsUpAnotherTenantForItsLevelsOnly) {
  options_.max_running = 1;
  Reset(1000);
  seconds_per_token_ = 0.01;
  AddOf(1, 100, 10, -1);
  RunUntilIdle();  // about 100 a second
  for (int i = 0; i < 20; ++i) {
    AddOf(1, 100, 1, -1);
    Step();
  }
  Sequence& other = AddOf(2, 100, 1);
  double seconds = 0;
  while (other.num_generated() == 0) {
    ASSERT_LT(seconds, 200);
    AddOf(1, 100, 1, -1);
    Step();
    seconds += step_seconds_;
  }
  EXPECT_GT(seconds, 15);
  EXPECT_LT(seconds, 45);
}

}  // namespace
}  // namespace autoglm
