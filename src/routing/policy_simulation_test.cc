// Policies against simulated upstreams, with seeds: what each is worth where upstreams are alike, unlike, failing, or have
// caches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <queue>
#include <unordered_map>

#include "base/random.h"
#include "routing/upstream_pool.h"

namespace autoglm::routing {
namespace {

// Blocks of prompts, the oldest of which go first.
class SimulatedCache {
 public:
  explicit SimulatedCache(size_t max_blocks) : max_blocks_(max_blocks) {}

  // How many of the blocks, from the first on, were there; all are afterwards.
  int64_t Use(std::span<const uint64_t> blocks) {
    int64_t num_hits = 0;
    while (num_hits < std::ssize(blocks) && used_.contains(blocks[num_hits])) ++num_hits;
    for (const uint64_t block : blocks) used_[block] = ++tick_;
    while (used_.size() > max_blocks_) {
      used_.erase(std::ranges::min_element(used_, {}, [](const auto& entry) { return entry.second; }));
    }
    return num_hits;
  }

 private:
  size_t max_blocks_;
  int64_t tick_ = 0;
  std::unordered_map<uint64_t, int64_t> used_;
};

struct SimulatedUpstream {
  double seconds = 0.01;     // that a request takes in the mean
  double share_failing = 0;  // of requests, which end after a millisecond
  SimulatedCache cache{0};
  std::vector<double> free_at = std::vector<double>(4, 0.0);  // of its workers; others wait in line
  int64_t num_requests = 0;
  int64_t num_failed = 0;
};

struct SimulatedRequest {
  double arrives = 0;  // seconds
  double size = 1;     // of the mean
  std::vector<uint64_t> prefix;
};

struct Outcomes {
  double mean_seconds = 0;  // of those that were answered
  double hit_share = 0;     // of blocks
  std::vector<SimulatedUpstream> upstreams;

  // Requests of the busiest one over the mean.
  double Unevenness() const {
    int64_t most = 0, all = 0;
    for (const SimulatedUpstream& upstream : upstreams) {
      most = std::max(most, upstream.num_requests);
      all += upstream.num_requests;
    }
    return static_cast<double>(most * std::ssize(upstreams)) / static_cast<double>(all);
  }
};

class Simulation {
 public:
  Simulation(std::string_view policy, std::vector<SimulatedUpstream> upstreams, BreakerOptions breaker = {}) {
    outcomes_.upstreams = std::move(upstreams);
    std::vector<UpstreamSpec> specs;
    specs.reserve(outcomes_.upstreams.size());
    for (size_t i = 0; i < outcomes_.upstreams.size(); ++i) specs.push_back({.name = std::to_string(i)});
    PoolOptions options{.policy = *PolicyByName(policy), .health = {.breaker = breaker}};
    options.outlier.max_failures = 2;  // none: the policy alone is looked at
    pool_ = std::make_unique<UpstreamPool>(options, specs, clock_);
  }

  Outcomes Run(const std::vector<SimulatedRequest>& requests) {
    for (const SimulatedRequest& request : requests) {
      EndUntil(request.arrives);
      Begin(request);
    }
    EndUntil(1e18);
    outcomes_.mean_seconds = sum_seconds_ / static_cast<double>(num_answered_);
    outcomes_.hit_share = num_blocks_ > 0 ? static_cast<double>(num_hits_) / static_cast<double>(num_blocks_) : 0;
    return std::move(outcomes_);
  }

 private:
  struct Running {
    double ends;
    double arrived;
    bool fails;
    std::shared_ptr<Attempt> attempt;
    bool operator<(const Running& other) const { return ends > other.ends; }
  };

  void Begin(const SimulatedRequest& request) {
    auto attempt = std::make_shared<Attempt>(*pool_->Choose({.prefix = request.prefix}));
    SimulatedUpstream& upstream = outcomes_.upstreams[std::stoul(attempt->upstream())];
    ++upstream.num_requests;
    if (random_.NextDouble() < upstream.share_failing) {
      ++upstream.num_failed;
      running_.push({request.arrives + 0.001, request.arrives, true, attempt});
      return;
    }
    const int64_t num_hits = upstream.cache.Use(request.prefix);
    num_hits_ += num_hits;
    num_blocks_ += std::ssize(request.prefix);
    const double prompt_seconds = 0.002 * static_cast<double>(std::ssize(request.prefix) - num_hits);
    double& free_at = *std::ranges::min_element(upstream.free_at);
    free_at = std::max(free_at, request.arrives) + upstream.seconds * request.size + prompt_seconds;
    running_.push({free_at, request.arrives, false, attempt});
  }

  void EndUntil(double seconds) {
    while (!running_.empty() && running_.top().ends <= seconds) {
      const Running ended = running_.top();
      running_.pop();
      AdvanceTo(ended.ends);
      if (ended.fails) {
        ended.attempt->Finish(Outcome::kFailed);
        continue;
      }
      ended.attempt->OnFirstByte(DurationFromSeconds(ended.ends - ended.arrived));
      ended.attempt->Finish(Outcome::kAnswered);
      sum_seconds_ += ended.ends - ended.arrived;
      ++num_answered_;
    }
    if (seconds < 1e18) AdvanceTo(seconds);
  }
  void AdvanceTo(double seconds) { clock_.Advance(DurationFromSeconds(seconds) - (clock_.Now() - TimePoint())); }

  ManualClock clock_;
  std::unique_ptr<UpstreamPool> pool_;
  Random random_{11};
  std::priority_queue<Running> running_;
  Outcomes outcomes_;
  double sum_seconds_ = 0;
  int64_t num_answered_ = 0;
  int64_t num_hits_ = 0;
  int64_t num_blocks_ = 0;
};

double Exponential(Random& random, double mean) { return -mean * std::log(1 - random.NextDouble()); }

// Arrivals at a rate, of sizes around 1; one in `long_every` is `long_size` times as long.
std::vector<SimulatedRequest> Arrivals(uint64_t seed, double per_second, int count, int long_every = 0, double long_size = 1) {
  Random random(seed);
  std::vector<SimulatedRequest> requests(static_cast<size_t>(count));
  double now = 0;
  for (SimulatedRequest& request : requests) {
    request.arrives = now += Exponential(random, 1 / per_second);
    request.size = Exponential(random, 1);
    if (long_every > 0 && random.NextBelow(static_cast<uint64_t>(long_every)) == 0) request.size *= long_size;
  }
  return requests;
}

std::vector<SimulatedUpstream> Upstreams(const std::vector<double>& seconds) {
  std::vector<SimulatedUpstream> upstreams(seconds.size());
  for (size_t i = 0; i < seconds.size(); ++i) upstreams[i].seconds = seconds[i];
  return upstreams;
}

// The policy's mean over round robin's, the mean of five seeds.
double AgainstRoundRobin(std::string_view policy, const std::vector<double>& seconds, double per_second, int long_every = 0,
                         double long_size = 1) {
  double ratio = 0;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const std::vector<SimulatedRequest> requests = Arrivals(seed, per_second, 20'000, long_every, long_size);
    const double own = Simulation(policy, Upstreams(seconds)).Run(requests).mean_seconds;
    ratio += own / Simulation("round_robin", Upstreams(seconds)).Run(requests).mean_seconds / 5;
  }
  std::printf("%.*s: %.2f of round robin's mean\n", static_cast<int>(policy.size()), policy.data(), ratio);
  return ratio;
}

// The slowest of three, with a third of the requests, would be busy for 0.9 of its time.
TEST(PolicySimulation, UnlikeUpstreams_HalfOfRoundRobinsMeanAtMost) {
  for (const std::string_view policy : {"least_connections", "response_time", "power_of_two"}) {
    EXPECT_LT(AgainstRoundRobin(policy, {0.01, 0.02, 0.06}, 180), 0.5) << policy;
  }
}

TEST(PolicySimulation, AlikeUpstreams_NeverWorseThanRoundRobin) {
  for (const std::string_view policy : {"least_connections", "response_time", "power_of_two"}) {
    EXPECT_LT(AgainstRoundRobin(policy, {0.02, 0.02, 0.02}, 420), 1.0) << policy;
  }
}

TEST(PolicySimulation, AlikeUpstreamsAndLongRequests_FewestConnectionsHelp) {
  EXPECT_LT(AgainstRoundRobin("least_connections", {0.02, 0.02, 0.02}, 250, 50, 40), 0.75);
}

TEST(PolicySimulation, OneThatFailsFast_IsNotSentEverything) {
  for (const std::string_view policy : {"response_time", "least_connections"}) {
    std::vector<SimulatedUpstream> upstreams = Upstreams({0.02, 0.02, 0.02});
    upstreams[1].share_failing = 1;
    const Outcomes alone = Simulation(policy, upstreams, {.failures_to_open = 0}).Run(Arrivals(3, 200, 20'000));
    const Outcomes guarded = Simulation(policy, upstreams).Run(Arrivals(3, 200, 20'000));
    const double share = static_cast<double>(alone.upstreams[1].num_failed) / 20'000;
    std::printf("%.*s: %.1f %% failed without a breaker, %.2f %% with one\n", static_cast<int>(policy.size()), policy.data(),
                share * 100, static_cast<double>(guarded.upstreams[1].num_failed) / 200);
    EXPECT_LT(share, policy == "response_time" ? 0.02 : 1.0);
    EXPECT_LT(guarded.upstreams[1].num_failed, 40);
  }
}

// 32 conversations that grow by a kilobyte a turn, in any order, over 4 replicas whose caches hold a third of them each.
std::vector<SimulatedRequest> Conversations(uint64_t seed, int count) {
  Random random(seed);
  std::vector<std::string> texts(32);
  std::vector<SimulatedRequest> requests = Arrivals(seed, 30, count);
  for (SimulatedRequest& request : requests) {
    std::string& text = texts[random.NextBelow(texts.size())];
    if (text.size() > 20'000) text.clear();
    for (const size_t end = text.size() + (text.empty() ? 2048 : 1024); text.size() < end;) {
      text += static_cast<char>('a' + random.NextBelow(26));
    }
    request.prefix = PrefixBlocksOf(text, 0);
  }
  return requests;
}

TEST(PolicySimulation, Conversations_FindTheirCachesAndNoReplicaIsOverrun) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    std::vector<SimulatedUpstream> upstreams = Upstreams({0.02, 0.02, 0.02, 0.02});
    for (SimulatedUpstream& upstream : upstreams) upstream.cache = SimulatedCache(460);
    const std::vector<SimulatedRequest> requests = Conversations(seed, 4000);
    const Outcomes aware = Simulation("prefix_aware", upstreams).Run(requests);
    const Outcomes in_turn = Simulation("round_robin", upstreams).Run(requests);
    std::printf(
        "seed %d: %.0f %% of blocks found, round robin %.0f %%; busiest %.2f of the mean; mean time %.2f of round robin's\n",
        static_cast<int>(seed), aware.hit_share * 100, in_turn.hit_share * 100, aware.Unevenness(),
        aware.mean_seconds / in_turn.mean_seconds);
    EXPECT_GT(aware.hit_share, 3 * in_turn.hit_share);
    EXPECT_LT(aware.Unevenness(), 1.3);
  }
}

}  // namespace
}  // namespace autoglm::routing
