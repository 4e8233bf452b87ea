#include "routing/upstream_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <thread>

namespace autoglm::routing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

class UpstreamPoolTest : public testing::Test {
 protected:
  UpstreamPoolTest() { clock_.Advance(seconds(1000)); }

  UpstreamPool& Pool(std::string_view policy, std::vector<UpstreamSpec> upstreams, PoolOptions options = {}) {
    options.policy = *PolicyByName(policy);
    pool_ = std::make_unique<UpstreamPool>(std::move(options), std::move(upstreams), clock_);
    return *pool_;
  }
  static std::vector<UpstreamSpec> Three() { return {{.name = "a"}, {.name = "b"}, {.name = "c"}}; }

  // One request that is answered at once; where it went.
  std::string Send(const RoutingRequest& request = {}, Outcome outcome = Outcome::kAnswered, Duration retry_after = {}) {
    Result<Attempt> attempt = pool_->Choose(request);
    if (!attempt) return "nobody";
    std::string upstream = attempt->upstream();
    if (outcome == Outcome::kAnswered) attempt->OnFirstByte(milliseconds(10));
    attempt->Finish(outcome, retry_after);
    return upstream;
  }
  std::map<std::string, int> SendMany(int count, const RoutingRequest& request = {}) {
    std::map<std::string, int> counts;
    for (int i = 0; i < count; ++i) ++counts[Send(request)];
    return counts;
  }
  // Sends until this one has failed so often.
  void FailAt(const std::string& upstream, int times) {
    const std::vector<std::string_view> others = Others(upstream);
    for (int i = 0; i < times; ++i) ASSERT_EQ(Send({.except = others}, Outcome::kFailed), upstream);
  }
  std::vector<std::string_view> Others(const std::string& upstream) const {
    std::vector<std::string_view> others;
    for (const std::string_view name : {"a", "b", "c"}) {
      if (name != upstream) others.push_back(name);
    }
    return others;
  }
  const UpstreamStatus& StatusOf(const std::string& name) {
    status_ = pool_->Status();
    return *std::ranges::find_if(status_, [&](const UpstreamStatus& status) { return status.spec.name == name; });
  }

  ManualClock clock_;
  std::unique_ptr<UpstreamPool> pool_;
  std::vector<UpstreamStatus> status_;
};

TEST_F(UpstreamPoolTest, RoundRobin_TakesTurnsByWeight) {
  Pool("round_robin", {{.name = "a", .weight = 2}, {.name = "b"}, {.name = "c"}});
  std::string order;
  for (int i = 0; i < 8; ++i) order += Send();
  EXPECT_EQ(order, "abcaabca") << "spread evenly";
}

TEST_F(UpstreamPoolTest, Random_GoesByWeight) {
  Pool("random", {{.name = "a", .weight = 3}, {.name = "b"}});
  EXPECT_NEAR(SendMany(4000)["a"], 3000, 120);
}

TEST_F(UpstreamPoolTest, LeastConnections_GoesWhereFewestAre) {
  UpstreamPool& pool = Pool("least_connections", Three());
  std::vector<Attempt> open;
  std::map<std::string, int> counts;
  for (int i = 0; i < 30; ++i) {
    open.push_back(*pool.Choose({}));
    ++counts[open.back().upstream()];
  }
  EXPECT_THAT(counts, ElementsAre(std::pair("a", 10), std::pair("b", 10), std::pair("c", 10)));
  EXPECT_EQ(pool.num_inflight(), 30);
  open.clear();
  EXPECT_EQ(pool.num_inflight(), 0) << "abandoned";
}

TEST_F(UpstreamPoolTest, LeastConnections_EqualOnesAreDrawn) {
  Pool("least_connections", Three());
  for (const auto& [name, count] : SendMany(3000)) EXPECT_NEAR(count, 1000, 120) << name;
}

TEST_F(UpstreamPoolTest, PowerOfTwo_NeverTakesTheWorst) {
  UpstreamPool& pool = Pool("power_of_two", Three());
  const std::vector<std::string_view> others = Others("a");
  const Attempt busy = *pool.Choose({.except = others});
  EXPECT_EQ(SendMany(1000).count("a"), 0u);
}

TEST_F(UpstreamPoolTest, ResponseTime_PrefersTheQuickUntilItIsBusy) {
  UpstreamPool& pool = Pool("response_time", {{.name = "a"}, {.name = "b"}});
  const std::string_view a = "a", b = "b";
  {
    Attempt quick = *pool.Choose({.except = {&b, 1}});
    quick.OnFirstByte(milliseconds(10));
    Attempt slow = *pool.Choose({.except = {&a, 1}});
    slow.OnFirstByte(milliseconds(35));
  }
  std::string order;
  std::vector<Attempt> open;
  open.reserve(5);
  for (int i = 0; i < 5; ++i) {
    open.push_back(*pool.Choose({}));
    order += open.back().upstream();
  }
  EXPECT_EQ(order, "aaaba") << "the fourth would take 40 ms there, the fifth 70 at the other";
}

TEST_F(UpstreamPoolTest, ResponseTime_WhoFailsFastIsNotQuick) {
  Pool("response_time", {{.name = "a"}, {.name = "b"}});
  SendMany(20);
  const std::string_view b = "b";
  Send({.except = {&b, 1}}, Outcome::kOverloaded, seconds(5));
  EXPECT_EQ(SendMany(100).count("a"), 0u);
  clock_.Advance(seconds(300));
  EXPECT_GT(SendMany(100)["a"], 20) << "forgotten";
}

TEST_F(UpstreamPoolTest, ResponseTime_TriesTheSlowAgainAfterAWhile) {
  UpstreamPool& pool = Pool("response_time", {{.name = "a"}, {.name = "b"}});
  const std::string_view a = "a", b = "b";
  pool.Choose({.except = {&b, 1}})->OnFirstByte(milliseconds(10));
  pool.Choose({.except = {&a, 1}})->OnFirstByte(seconds(2));
  int num_seconds = 0;
  for (bool is_tried = false; !is_tried && num_seconds < 120; ++num_seconds) {
    clock_.Advance(seconds(1));
    Attempt next = *pool.Choose({});
    is_tried = next.upstream() == "b";
    next.OnFirstByte(milliseconds(10));
  }
  EXPECT_GT(num_seconds, 20);
  EXPECT_LT(num_seconds, 90);
}

TEST_F(UpstreamPoolTest, WhoAskedToBeLeftAlone_IsWhileOthersAreLeft) {
  UpstreamPool& pool = Pool("least_connections", {{.name = "a"}, {.name = "b"}});
  const std::string_view b = "b";
  Send({.except = {&b, 1}}, Outcome::kOverloaded, seconds(2));
  EXPECT_EQ(SendMany(50).count("a"), 0u);
  EXPECT_EQ(pool.Explain({})[0].left_out, "asked to be left alone");
  EXPECT_EQ(pool.Choose({.except = {&b, 1}})->upstream(), "a");
  clock_.Advance(seconds(3));
  EXPECT_GT(SendMany(50)["a"], 10);
}

TEST_F(UpstreamPoolTest, ResponseTimeThreshold_LeavesOutTheSlowWhileOthersAreLeft) {
  PoolOptions options{.policy = *PolicyByName("round_robin")};
  options.policy.response_time_below = milliseconds(100);
  UpstreamPool pool(options, {{.name = "a"}, {.name = "b"}}, clock_);
  pool.Choose({})->OnFirstByte(milliseconds(200));
  EXPECT_EQ(pool.Explain({})[0].left_out, "slower than the threshold");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(pool.Choose({})->upstream(), "b");
  const std::string_view b = "b";
  EXPECT_EQ(pool.Choose({.except = {&b, 1}})->upstream(), "a");
}

TEST_F(UpstreamPoolTest, Prefix_GoesBackToWhoHasItUnlessThatOneIsOverrun) {
  UpstreamPool& pool = Pool("prefix_aware", Three());
  const std::vector<uint64_t> prefix = PrefixBlocksOf(std::string(4096, 'x'), 0);
  const std::string owner = Send({.prefix = prefix});
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Send({.prefix = prefix}), owner);
  std::vector<Attempt> open;
  open.reserve(60);
  for (int i = 0; i < 60; ++i) open.push_back(*pool.Choose({.prefix = prefix}));
  const int64_t most = StatusOf(owner).num_inflight;
  EXPECT_LT(most, 45) << "a hot prefix spreads";
  EXPECT_GT(most, 15);
}

TEST_F(UpstreamPoolTest, PrefixOfOneThatWasAway_IsForgotten) {
  UpstreamPool& pool = Pool("prefix_aware", Three());
  const std::vector<uint64_t> prefix = PrefixBlocksOf(std::string(4096, 'x'), 0);
  const std::string owner = Send({.prefix = prefix});
  for (int i = 0; i < 3; ++i) pool.OnProbe(owner, false);
  for (int i = 0; i < 2; ++i) pool.OnProbe(owner, true);
  for (const Explanation& explanation : pool.Explain({.prefix = prefix})) EXPECT_EQ(explanation.scores[0], 0);
}

TEST_F(UpstreamPoolTest, PrefixThatNobodyHas_GoesWhereTheLeastIsHeld) {
  Pool("prefix_aware", Three());
  const auto text = [](char letter, size_t size) { return PrefixBlocksOf(std::string(size, letter), 0); };
  std::map<std::string, int> counts;
  for (char letter = 'a'; letter < 'm'; ++letter) ++counts[Send({.prefix = text(letter, 2048)})];
  EXPECT_THAT(counts, ::testing::ElementsAre(::testing::Pair("a", 4), ::testing::Pair("b", 4), ::testing::Pair("c", 4)));

  const std::string owner = Send({.prefix = text('x', 16384)});
  counts.clear();
  for (char letter = 'A'; letter < 'E'; ++letter) ++counts[Send({.prefix = text(letter, 2048)})];
  EXPECT_EQ(counts.count(owner), 0u) << "it has much already";
  EXPECT_EQ(Send({.prefix = text('x', 16384)}), owner) << "which is no reason against what it has";
}

TEST_F(UpstreamPoolTest, PrefixThatAnUpstreamSaysItHas_CountsInPlaceOfTheGuess) {
  UpstreamPool& pool = Pool("prefix_aware", Three());
  const std::vector<uint64_t> prefix = PrefixBlocksOf(std::string(4096, 'x'), 0);
  pool.Choose({.prefix = prefix, .except = Others("c")})->Finish(Outcome::kAnswered);
  EXPECT_EQ(Send({.prefix = prefix}), "c");

  const PrefixMatch evicted[] = {{.upstream = "b", .num_tokens = 250}, {.upstream = "c", .num_tokens = 0}};
  const RoutingRequest request{.prefix = prefix, .exact = evicted, .prompt_tokens = 1000};
  const std::vector<Explanation> explanations = pool.Explain(request);
  EXPECT_NEAR(explanations[1].scores[0] - explanations[0].scores[0], 0.25, 1e-9) << "of two that hold nothing else";
  EXPECT_LT(explanations[2].scores[0], explanations[0].scores[0]) << "what it was sent takes room";
  EXPECT_EQ(Send(request), "b");

  const PrefixMatch about_others[] = {{.upstream = "b", .num_tokens = 250}};
  EXPECT_EQ(Send({.prefix = prefix, .exact = about_others, .prompt_tokens = 1000}), "c") << "of c there is only the guess";
}

TEST_F(UpstreamPoolTest, Session_StaysWhereItIsWhenOthersComeAndGo) {
  UpstreamPool& pool = Pool("session_affinity", Three());
  std::map<std::string, std::string> home;
  for (int i = 0; i < 200; ++i) {
    const std::string session = "session " + std::to_string(i);
    home[session] = Send({.session = session});
    EXPECT_EQ(Send({.session = session}), home[session]);
  }
  std::vector<UpstreamSpec> four = Three();
  four.push_back({.name = "d"});
  pool.SetUpstreams(four);
  int moved = 0;
  for (const auto& [session, upstream] : home) {
    const std::string now = Send({.session = session});
    EXPECT_TRUE(now == upstream || now == "d") << session;
    moved += now == upstream ? 0 : 1;
  }
  EXPECT_NEAR(moved, 50, 20);
}

TEST_F(UpstreamPoolTest, Region_LabelsFirstThenRoundTrips) {
  UpstreamPool& pool = Pool("nearest_region", {{.name = "a", .region = "eu"}, {.name = "b", .region = "us"}, {.name = "c"}});
  EXPECT_EQ(SendMany(20, {.region = "us"}), (std::map<std::string, int>{{"b", 20}}));
  pool.OnRoundTrip("a", milliseconds(80));
  pool.OnRoundTrip("b", milliseconds(20));
  pool.OnRoundTrip("c", milliseconds(5));
  EXPECT_EQ(SendMany(20, {.region = "asia"}), (std::map<std::string, int>{{"c", 20}}));
}

TEST_F(UpstreamPoolTest, LeastBusy_BelievesTheReplicas) {
  UpstreamPool& pool = Pool("least_busy", Three());
  pool.OnReport("a", {.num_running = 8, .num_waiting = 3, .kv_usage = 0.9});
  pool.OnReport("b", {.num_running = 8, .num_waiting = 0, .kv_usage = 0.1});
  pool.OnReport("c", {.num_running = 8, .num_waiting = 0, .kv_usage = 0.7});
  EXPECT_EQ(SendMany(20), (std::map<std::string, int>{{"b", 20}}));
}

TEST_F(UpstreamPoolTest, Contexts_GoWhereTheyFit) {
  Pool("least_connections", {{.name = "short", .most_context_tokens = 8000}, {.name = "long", .least_context_tokens = 8000}});
  EXPECT_EQ(SendMany(20, {.context_tokens = 1000}), (std::map<std::string, int>{{"short", 20}}));
  EXPECT_EQ(SendMany(20, {.context_tokens = 20'000}), (std::map<std::string, int>{{"long", 20}}));
  const std::string_view tried = "short";
  EXPECT_EQ(Send({.context_tokens = 1000, .except = {&tried, 1}}), "long") << "while there are others";
}

TEST_F(UpstreamPoolTest, Models_GoWhereTheyAreServed) {
  UpstreamPool& pool = Pool("least_connections", {{.name = "a", .models = {"glm"}}, {.name = "b", .models = {"glm", "qwen"}}});
  EXPECT_EQ(SendMany(20, {.model = "qwen"}), (std::map<std::string, int>{{"b", 20}}));
  const auto none = pool.Choose({.model = "gpt"});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
}

TEST_F(UpstreamPoolTest, NobodyLeft_SaysWhy) {
  UpstreamPool& pool =
      Pool("least_connections", {{.name = "a", .most_context_tokens = 100}, {.name = "b", .most_context_tokens = 200}});
  EXPECT_EQ(pool.Choose({.context_tokens = 300}).error().code, ErrorCode::kContextLengthExceeded);
  pool.SetDraining("b", true);
  const std::string_view a = "a";
  const auto none = pool.Choose({.except = {&a, 1}});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(none.error().message, HasSubstr("a: tried already, b: draining"));
  pool.SetUpstreams({});
  EXPECT_FALSE(pool.Choose({}));
}

TEST_F(UpstreamPoolTest, BreakerThatOpens_KeepsRequestsAwayAndTriesLater) {
  Pool("least_connections", Three());
  FailAt("a", 5);
  EXPECT_EQ(StatusOf("a").breaker, CircuitBreaker::State::kOpen);
  EXPECT_EQ(SendMany(100).count("a"), 0u);
  clock_.Advance(seconds(30));
  EXPECT_GT(SendMany(100)["a"], 0);
  EXPECT_EQ(StatusOf("a").breaker, CircuitBreaker::State::kClosed);
}

TEST_F(UpstreamPoolTest, Panic_AsksTheUnhealthyToo) {
  Pool("least_connections", Three());
  FailAt("a", 5);
  EXPECT_EQ(SendMany(100).count("a"), 0u) << "two of three are healthy";
  FailAt("b", 5);
  EXPECT_GT(SendMany(100)["a"], 0) << "one of three is not enough";
}

TEST_F(UpstreamPoolTest, Outlier_IsEjectedThoughItsBreakerIsClosed) {
  Pool("round_robin", Three());
  for (int i = 0; i < 300; ++i) {
    const Outcome outcome = i % 3 == 0 && i % 2 == 0 ? Outcome::kFailed : Outcome::kAnswered;  // every second of a's
    Send({}, outcome);
    clock_.Advance(milliseconds(40));
  }
  EXPECT_EQ(StatusOf("a").availability, Availability::kEjected);
  EXPECT_EQ(StatusOf("a").breaker, CircuitBreaker::State::kClosed);
}

TEST_F(UpstreamPoolTest, SlowStart_GetsLittleAtFirst) {
  UpstreamPool& pool = Pool("round_robin", {{.name = "a"}, {.name = "b"}});
  for (int i = 0; i < 3; ++i) pool.OnProbe("a", false);
  for (int i = 0; i < 2; ++i) pool.OnProbe("a", true);
  EXPECT_EQ(SendMany(110)["a"], 10);
}

TEST_F(UpstreamPoolTest, Upstreams_KeepWhatIsKnownOfThemWhenOthersChange) {
  UpstreamPool& pool = Pool("least_connections", Three());
  FailAt("a", 5);
  Attempt open = *pool.Choose({});
  const std::string gone = open.upstream();
  pool.SetUpstreams({{.name = "a", .weight = 5}, {.name = "d"}, {.name = "e"}});
  EXPECT_EQ(StatusOf("a").breaker, CircuitBreaker::State::kOpen);
  EXPECT_EQ(StatusOf("a").spec.weight, 5);
  EXPECT_EQ(open.upstream(), gone) << "while it lasts";
  open.Finish(Outcome::kAnswered);
  EXPECT_FALSE(pool.SetDraining(gone, true));
}

TEST_F(UpstreamPoolTest, Explanation_NamesScoresAndReasons) {
  UpstreamPool& pool = Pool("prefix_aware", Three());
  const std::vector<uint64_t> prefix = PrefixBlocksOf(std::string(1024, 'x'), 0);
  const std::string owner = Send({.prefix = prefix});
  pool.SetDraining(owner == "a" ? "b" : "a", true);
  int num_candidates = 0;
  for (const Explanation& explanation : pool.Explain({.prefix = prefix})) {
    if (!explanation.left_out.empty()) {
      EXPECT_EQ(explanation.left_out, "draining");
      continue;
    }
    ++num_candidates;
    EXPECT_EQ(explanation.scores.size(), 2u);
    EXPECT_EQ(explanation.scores[0], explanation.upstream == owner ? 1 : 0);
    EXPECT_EQ(explanation.total, explanation.scores[0] + explanation.scores[1]);
  }
  EXPECT_EQ(num_candidates, 2);
}

TEST_F(UpstreamPoolTest, SeveralThreads_LoseNoCount) {
  UpstreamPool& pool = Pool("prefix_aware", Three());
  const auto work = [&](char letter) {
    const std::vector<uint64_t> prefix = PrefixBlocksOf(std::string(2048, letter), 0);
    for (int i = 0; i < 2000; ++i) {
      Result<Attempt> attempt = pool.Choose({.prefix = prefix});
      attempt->OnFirstByte(milliseconds(1));
      if (i % 3 == 0) attempt->Finish(Outcome::kAnswered);
    }
  };
  std::thread other(work, 'a');
  work('b');
  other.join();
  EXPECT_EQ(pool.num_inflight(), 0);
  int64_t sum = 0;
  for (const UpstreamStatus& status : pool.Status()) sum += status.num_requests;
  EXPECT_EQ(sum, 4000);
}

TEST(Policies, UnknownNames_AreRefusedWithAllThatThereAre) {
  EXPECT_THAT(PolicyByName("best").error().message, HasSubstr("round_robin, random, least_connections"));
  EXPECT_THAT(ScorerByName("speed", 1).error().message, HasSubstr("load, response_time, prefix"));
  EXPECT_FALSE(ScorerByName("load", -1));
}

}  // namespace
}  // namespace autoglm::routing
