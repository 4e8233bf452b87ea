#include "guard/shared_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/redis_server.h"

namespace autoglm::guard {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using WhenUnreachable = gateway::RedisConfig::WhenUnreachable;

// One gateway's I/O thread with limits of its own.
class Gateway {
 public:
  Gateway(const gateway::RedisConfig& config, UsageLimitOptions options, std::chrono::milliseconds lease = 30s)
      : limits_(config, *LocalLimits::Create(options, clock_, Hooks()), Hooks(), lease) {}
  ~Gateway() { Crash(); }

  Granted Acquire(const Principal& principal, const UsageEstimate& estimate = {}) {
    std::promise<Granted> answer;
    thread_.RunAndWait([&] {
      auto now = limits_.Acquire(principal, estimate, thread_.loop(), [&](Granted later) { answer.set_value(std::move(later)); });
      if (now) answer.set_value(*std::move(now));
    });
    return answer.get_future().get();
  }
  std::unique_ptr<Usage> Pass(const Principal& principal, const UsageEstimate& estimate = {}) {
    Granted granted = Acquire(principal, estimate);
    EXPECT_TRUE(granted) << granted.error().error.message;
    return granted ? *std::move(granted) : nullptr;
  }
  std::string Refuse(const Principal& principal, const UsageEstimate& estimate = {}) {
    Granted granted = Acquire(principal, estimate);
    EXPECT_FALSE(granted);
    if (!granted) return granted.error().error.message;
    End(*std::move(granted));
    return "";
  }
  bool Passes(const Principal& principal, const UsageEstimate& estimate = {}) {
    Granted granted = Acquire(principal, estimate);
    const bool passes = granted.has_value();
    if (passes) End(*std::move(granted));
    return passes;
  }
  void End(std::unique_ptr<Usage> usage) {
    thread_.RunAndWait([&] { usage.reset(); });
  }
  void End(std::unique_ptr<Usage> usage, int64_t input_tokens, int64_t output_tokens) {
    thread_.RunAndWait([&] {
      usage->Settle(input_tokens, output_tokens);
      usage.reset();
    });
  }
  // From here on Redis hears nothing of it: as where it is killed.
  void Crash() {
    thread_.RunAndWait([this] { limits_.Leave(thread_.loop()); });
  }
  http::LoopThread& thread() { return thread_; }
  SharedLimits& limits() { return limits_; }

  std::atomic<int> num_problems = 0;
  std::atomic<int> num_recoveries = 0;

 private:
  GuardHooks Hooks() {
    return {.on_problem = [this](const Error&) { ++num_problems; },
            .on_recovery = [this](std::string_view) { ++num_recoveries; }};
  }

  const Clock& clock_ = Clock::Real();
  SharedLimits limits_;
  http::LoopThread thread_;
};

class SharedLimitsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!RedisServer::IsInstalled()) GTEST_SKIP() << "there is no redis-server";
    server_.emplace();
  }
  Gateway& AddGateway(std::chrono::milliseconds lease = 30s, WhenUnreachable when_unreachable = WhenUnreachable::kLocal) {
    return gateways_.emplace_back(Config(when_unreachable), UsageLimitOptions(), lease);
  }
  gateway::RedisConfig Config(WhenUnreachable when_unreachable = WhenUnreachable::kLocal) const {
    return {.port = server_->port(), .timeout = 2s, .when_unreachable = when_unreachable};
  }
  static Principal Key(Policy policy, std::string id = "key-1") { return {.key_id = std::move(id), .policy = std::move(policy)}; }

  std::optional<RedisServer> server_;
  std::list<Gateway> gateways_;
};

TEST_F(SharedLimitsTest, WithoutLimits_RedisIsNotAsked) {
  Gateway& gateway = AddGateway();
  gateway.thread().RunAndWait(
      [&] { EXPECT_TRUE(gateway.limits().Acquire(Key({}), {}, gateway.thread().loop(), [](const Granted&) {})); });
  EXPECT_EQ(server_->Ask("DBSIZE"), "0");
}

TEST_F(SharedLimitsTest, TwoGateways_ShareEveryLimit) {
  Gateway& one = AddGateway();
  Gateway& other = AddGateway();
  const Principal requests = Key({.requests_per_minute = 2}, "requests");
  one.End(one.Pass(requests));
  other.End(other.Pass(requests));
  EXPECT_THAT(one.Refuse(requests), HasSubstr("2 requests per minute is reached; try again in 30 s"));
  EXPECT_THAT(other.Refuse(requests), HasSubstr("try again in 30 s"));

  const Principal tokens = Key({.tokens_per_minute = 600}, "tokens");
  std::unique_ptr<Usage> usage = one.Pass(tokens, {.input_tokens = 100, .max_output_tokens = 400});
  EXPECT_EQ(usage->limits().tokens.remaining, 100);
  EXPECT_THAT(other.Refuse(tokens, {.input_tokens = 300}), HasSubstr("600 tokens per minute is reached; try again in 20 s"));
  one.End(std::move(usage), 100, 50);
  one.End(one.Pass(tokens));
  EXPECT_TRUE(WaitFor([&] { return other.Passes(tokens, {.input_tokens = 300}); }));

  const Principal places = Key({.max_concurrent = 1}, "places");
  usage = one.Pass(places);
  EXPECT_THAT(other.Refuse(places), HasSubstr("1 requests at the same time is reached; try again in 1 s"));
  one.End(std::move(usage));
  EXPECT_TRUE(WaitFor([&] { return other.Passes(places); }));

  const Principal budget = Key({.budget = 100}, "budget");
  usage = one.Pass(budget, {.input_tokens = 60});
  EXPECT_THAT(other.Refuse(budget, {.input_tokens = 50}), HasSubstr("requests that run may use the rest of the budget of 100"));
  one.End(std::move(usage), 60, 0);
  EXPECT_TRUE(
      WaitFor([&] { return other.Refuse(budget, {.input_tokens = 50}).find("and 40 of the budget") != std::string::npos; }));
}

// Both are asked the same; a real second passes more slowly than this test.
TEST_F(SharedLimitsTest, Answers_AreThoseOfLocalLimits) {
  ManualClock clock;
  clock.Advance(1h);
  const auto local = *LocalLimits::Create({}, clock, {});
  Gateway& gateway = AddGateway();
  const auto expect_same = [&](const Principal& key, const std::vector<UsageEstimate>& estimates, int64_t used) {
    for (const UsageEstimate& estimate : estimates) {
      Granted here = local->AcquireNow(key, estimate);
      Granted there = gateway.Acquire(key, estimate);
      ASSERT_EQ(here.has_value(), there.has_value());
      if (!here) {
        EXPECT_EQ(there.error().error.message, here.error().error.message);
        EXPECT_EQ(there.error().error.code, here.error().error.code);
        EXPECT_EQ(there.error().retry_after_seconds, here.error().retry_after_seconds);
        EXPECT_EQ(there.error().state.requests.remaining, here.error().state.requests.remaining);
        continue;
      }
      EXPECT_EQ((*there)->limits().requests.remaining, (*here)->limits().requests.remaining);
      EXPECT_EQ((*there)->limits().tokens.limit, (*here)->limits().tokens.limit);
      EXPECT_EQ(FormatReset(std::chrono::ceil<std::chrono::seconds>((*there)->limits().requests.reset)),
                FormatReset(std::chrono::ceil<std::chrono::seconds>((*here)->limits().requests.reset)));
      if (used < 0) {
        here->reset();
        gateway.End(*std::move(there));
      } else {
        (*here)->Settle(used, 0);
        here->reset();
        gateway.End(*std::move(there), used, 0);
      }
    }
  };
  expect_same(Key({.requests_per_minute = 3}, "a"), {{}, {}, {}, {}, {}}, -1);
  expect_same(Key({.tokens_per_minute = 30}, "b"), {{.input_tokens = 100}, {.input_tokens = 100}, {.input_tokens = 11}}, 20);
  expect_same(Key({.tokens_per_minute = 30}, "c"), {{.input_tokens = 30}, {.input_tokens = 30}, {.input_tokens = 1}}, 100);
  expect_same(Key({.requests_per_minute = 2, .tokens_per_minute = 30}, "d"),
              {{.input_tokens = 30}, {.input_tokens = 20}, {.input_tokens = 20}}, 5);
  expect_same(Key({.budget = 100}, "e"),
              {{.input_tokens = 1000}, {.input_tokens = 50}, {.input_tokens = 70}, {.input_tokens = 0}}, 40);
  expect_same(Key({.budget = 100, .budget_period = BudgetPeriod::kTotal}, "f"), {{.input_tokens = 100}, {.input_tokens = 1}},
              200);
}

TEST_F(SharedLimitsTest, BrokenOffRequests_GiveEverythingBack) {
  Gateway& gateway = AddGateway();
  const Principal key = Key({.tokens_per_minute = 600, .max_concurrent = 1, .budget = 600});
  for (int i = 0; i < 10; ++i) gateway.End(gateway.Pass(key, {.max_output_tokens = 600}));
  EXPECT_TRUE(WaitFor([&] { return server_->Ask("HGET autoglm:rate:key-1 tokens") == "0"; }));
}

TEST_F(SharedLimitsTest, KilledGatewaysPlaces_ComeBackAndThoseOfOthersStay) {
  Gateway& running = AddGateway(300ms);
  Gateway& killed = AddGateway(300ms);
  Gateway& third = AddGateway(300ms);
  const Principal key = Key({.max_concurrent = 2, .budget = 100});
  std::unique_ptr<Usage> kept = running.Pass(key, {.input_tokens = 50});
  const std::unique_ptr<Usage> lost = killed.Pass(key, {.input_tokens = 50});
  EXPECT_THAT(third.Refuse(key, {.input_tokens = 50}), HasSubstr("requests that run may use the rest"));
  killed.Crash();
  std::unique_ptr<Usage> next;
  ASSERT_TRUE(WaitFor([&] {
    Granted granted = third.Acquire(key, {.input_tokens = 50});
    if (!granted) return false;
    next = *std::move(granted);
    return true;
  }));
  EXPECT_THAT(third.Refuse(key, {.input_tokens = 0}), HasSubstr("2 requests at the same time"))
      << "the one that runs was renewed";
  EXPECT_THAT(third.Refuse(key, {.input_tokens = 50}), HasSubstr("requests that run may use the rest"));
  running.End(std::move(kept));
  third.End(std::move(next));
}

TEST_F(SharedLimitsTest, ForgottenScripts_AreSentAgain) {
  Gateway& gateway = AddGateway();
  const Principal key = Key({.requests_per_minute = 2});
  gateway.End(gateway.Pass(key));
  EXPECT_EQ(server_->Ask("SCRIPT FLUSH"), "OK");
  gateway.End(gateway.Pass(key));
  EXPECT_THAT(gateway.Refuse(key), HasSubstr("2 requests per minute"));
  EXPECT_EQ(gateway.num_problems, 0);
}

// The rights that docs/access.md tells.
TEST_F(SharedLimitsTest, UserWithFewRights_IsEnough) {
  ASSERT_EQ(server_->Ask("ACL SETUSER autoglm on >secret +@scripting +@hash +@sortedset +pexpire +time +ping +select ~autoglm:*"),
            "OK");
  gateway::RedisConfig config = Config();
  config.user = "autoglm";
  config.password = "secret";
  Gateway& gateway = gateways_.emplace_back(config, UsageLimitOptions(), 300ms);
  const Principal key = Key({.requests_per_minute = 1, .tokens_per_minute = 100, .max_concurrent = 1, .budget = 100});
  gateway.End(gateway.Pass(key, {.input_tokens = 50}), 20, 0);
  EXPECT_THAT(gateway.Refuse(key), HasSubstr("1 requests per minute"));
  EXPECT_EQ(gateway.num_problems, 0);
  EXPECT_EQ(server_->Ask("EXISTS autoglm:rate:key-1"), "1");
  EXPECT_TRUE(WaitFor([&] { return server_->Ask("EXISTS autoglm:running:key-1") == "0"; }));
}

TEST_F(SharedLimitsTest, UserWithoutTheRights_IsReportedOnceAndLimitsCountHere) {
  ASSERT_EQ(server_->Ask("ACL SETUSER autoglm on >secret +@scripting +ping ~autoglm:*"), "OK");
  gateway::RedisConfig config = Config();
  config.user = "autoglm";
  config.password = "secret";
  Gateway& gateway = gateways_.emplace_back(config, UsageLimitOptions(), 30s);
  const Principal key = Key({.requests_per_minute = 1});
  EXPECT_TRUE(gateway.Passes(key));
  for (int i = 0; i < 5; ++i) EXPECT_THAT(gateway.Refuse(key), HasSubstr("1 requests per minute"));
  EXPECT_EQ(gateway.num_problems, 1);
  EXPECT_EQ(server_->Ask("DBSIZE"), "0");
  ASSERT_EQ(server_->Ask("ACL SETUSER autoglm +@all"), "OK");
  EXPECT_TRUE(gateway.Passes(key)) << "it is asked again each time";
  EXPECT_EQ(gateway.num_recoveries, 1);
}

TEST_F(SharedLimitsTest, WithoutRedis_EachCountsForItselfUntilItIsBack) {
  Gateway& one = AddGateway();
  Gateway& other = AddGateway();
  const Principal key = Key({.requests_per_minute = 1});
  one.End(one.Pass(key));
  EXPECT_FALSE(other.Passes(key));
  server_->Kill();
  ASSERT_TRUE(WaitFor([&] { return one.num_problems == 1 && other.num_problems == 1; }));
  EXPECT_TRUE(one.Passes(key));
  EXPECT_THAT(one.Refuse(key), HasSubstr("1 requests per minute is reached; try again in 60 s"));
  EXPECT_TRUE(other.Passes(key));
  server_->Start();
  ASSERT_TRUE(WaitFor([&] { return one.num_recoveries == 1 && other.num_recoveries == 1; }));
  EXPECT_TRUE(one.Passes(key)) << "this one kept nothing";
  EXPECT_FALSE(other.Passes(key));
}

TEST_F(SharedLimitsTest, KilledWithinManyRequests_EveryoneGetsOneAnswer) {
  Gateway& gateway = AddGateway();
  constexpr int kRequests = 2000;
  std::atomic<int> num_answers = 0;
  gateway.thread().RunAndWait([&] {
    for (int i = 0; i < kRequests; ++i) {
      const auto now = gateway.limits().Acquire(Key({.requests_per_minute = 1'000'000}), {}, gateway.thread().loop(),
                                                [&](const Granted&) { ++num_answers; });
      num_answers += now ? 1 : 0;
      if (i == kRequests / 2) server_->Kill();
    }
  });
  EXPECT_TRUE(WaitFor([&] { return num_answers == kRequests; }));
  gateway.thread().RunAndWait([] {});
  EXPECT_EQ(num_answers, kRequests);
}

TEST_F(SharedLimitsTest, ClosedAndOpen_AreAsConfigured) {
  Gateway& closed = AddGateway(30s, WhenUnreachable::kClosed);
  Gateway& open = AddGateway(30s, WhenUnreachable::kOpen);
  const Principal key = Key({.requests_per_minute = 1});
  server_->Kill();
  const Granted refused = closed.Acquire(key);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error.code, ErrorCode::kUnavailable);
  EXPECT_EQ(refused.error().retry_after_seconds, 1);
  EXPECT_TRUE(closed.Passes(Key({}))) << "no limits, no question";
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(open.Passes(key));
}

TEST_F(SharedLimitsTest, BillsOfTheTimeWithoutRedis_AreSentAfterwards) {
  Gateway& gateway =
      gateways_.emplace_back(gateway::RedisConfig{.port = server_->port(), .timeout = 300ms}, UsageLimitOptions(), 30s);
  Gateway& other = AddGateway();
  const Principal key = Key({.max_concurrent = 1, .budget = 100});
  std::unique_ptr<Usage> usage = gateway.Pass(key, {.input_tokens = 80});
  server_->Freeze();
  EXPECT_TRUE(gateway.Passes(Key({.requests_per_minute = 9}, "another"))) << "after the timeout, by itself";
  gateway.End(std::move(usage), 70, 0);
  server_->Thaw();
  EXPECT_TRUE(WaitFor([&] { return gateway.num_recoveries == 1; }));
  EXPECT_TRUE(WaitFor([&] { return other.Passes(key, {.input_tokens = 30}); }));
  EXPECT_THAT(other.Refuse(key, {.input_tokens = 31}), HasSubstr("and 30 of the budget of 100"));
}

TEST_F(SharedLimitsTest, RedisThatLostItsMemory_LearnsBudgetsFromTheGateways) {
  Gateway& gateway = AddGateway();
  const Principal key = Key({.budget = 100});
  gateway.End(gateway.Pass(key, {.input_tokens = 80}), 80, 0);
  gateway.End(gateway.Pass(key, {.input_tokens = 5}));
  server_->Kill();
  ASSERT_TRUE(WaitFor([&] { return gateway.num_problems == 1; }));
  EXPECT_THAT(gateway.Refuse(key, {.input_tokens = 30}), HasSubstr("and 20 of the budget of 100"));
  gateway.End(gateway.Pass(key, {.input_tokens = 10}), 10, 0);
  server_->Start();
  ASSERT_TRUE(WaitFor([&] { return gateway.num_recoveries == 1; }));
  EXPECT_THAT(gateway.Refuse(key, {.input_tokens = 30}), HasSubstr("and 10 of the budget of 100"));
}

TEST_F(SharedLimitsTest, Leaving_EndsWhatWaitsAndUsagesMayOutliveIt) {
  Gateway& gateway = AddGateway();
  const Principal key = Key({.max_concurrent = 5});
  std::unique_ptr<Usage> usage = gateway.Pass(key);
  int num_answers = 0;
  gateway.thread().RunAndWait([&] {
    EXPECT_FALSE(gateway.limits().Acquire(key, {}, gateway.thread().loop(), [&](const Granted&) { ++num_answers; }));
    gateway.limits().Leave(gateway.thread().loop());
  });
  gateway.End(std::move(usage), 1, 1);
  EXPECT_EQ(num_answers, 0);
}

TEST_F(SharedLimitsTest, DestroyedWhileItsLoopRuns_EveryAnswerComesOrNone) {
  http::LoopThread thread;
  std::atomic<int> num_answers = 0;
  for (int i = 0; i < 20; ++i) {
    auto limits = *UsageLimits::Create({.redis = Config()}, Clock::Real());
    thread.RunAndWait([&] {
      EXPECT_FALSE(limits->Acquire(Key({.requests_per_minute = 5}), {}, thread.loop(), [&](const Granted&) { ++num_answers; }));
    });
    limits.reset();
  }
  thread.RunAndWait([] {});
  EXPECT_LE(num_answers, 20);
}

// Eight gateways with eight requests each at a time.
TEST_F(SharedLimitsTest, SixtyFourAtATime_NeverExceedALimit) {
  constexpr int kGateways = 8;
  constexpr int kLanes = 8;
  constexpr int kTries = 40;
  constexpr int64_t kReserve = 7;
  const Principal key = Key({.requests_per_minute = 900, .tokens_per_minute = 4000, .max_concurrent = 10, .budget = 3000});
  std::atomic<int64_t> running = 0, most_running = 0, passed = 0, used = 0, num_left = kGateways * kLanes;
  for (int g = 0; g < kGateways; ++g) AddGateway();

  // Each lane asks, ends what it got, and asks again, all on its gateway's loop.
  struct Lane {
    Gateway* gateway;
    int index;
    int num_tries = 0;
  };
  std::list<Lane> lanes;
  std::function<void(Lane&)> step;
  const auto take = [&](Lane& lane, Granted granted) {
    if (granted) {
      const int64_t now_running = ++running;
      int64_t most = most_running.load();
      while (now_running > most && !most_running.compare_exchange_weak(most, now_running)) {
      }
      ++passed;
      const int64_t tokens = (lane.index + lane.num_tries) % (kReserve + 1);
      lane.gateway->thread().loop().Post([&, tokens, usage = std::shared_ptr<Usage>(*std::move(granted))]() mutable {
        if (tokens > 0) {
          used += tokens;
          usage->Settle(tokens, 0);
        }
        --running;
        usage.reset();
        step(lane);
      });
    } else {
      lane.gateway->thread().loop().Post([&] { step(lane); });
    }
  };
  step = [&](Lane& lane) {
    if (++lane.num_tries > kTries) {
      --num_left;
      return;
    }
    auto now = lane.gateway->limits().Acquire(key, {.input_tokens = kReserve}, lane.gateway->thread().loop(),
                                              [&](Granted granted) { take(lane, std::move(granted)); });
    EXPECT_FALSE(now) << "Redis is there";
  };
  const auto begun = std::chrono::steady_clock::now();
  for (Gateway& gateway : gateways_) {
    for (int i = 0; i < kLanes; ++i) {
      Lane& lane = lanes.emplace_back(Lane{.gateway = &gateway, .index = i});
      gateway.thread().loop().Post([&] { step(lane); });
    }
  }
  ASSERT_TRUE(WaitFor([&] { return num_left == 0; }));
  const double minutes = Seconds(std::chrono::steady_clock::now() - begun) / 60;
  EXPECT_LE(most_running.load(), 10);
  EXPECT_GT(passed.load(), 20);
  EXPECT_LE(static_cast<double>(passed.load()), 900 * (1 + minutes) + 1);
  EXPECT_LE(static_cast<double>(used.load()), 4000 * (1 + minutes) + 1);
  EXPECT_LE(used.load(), 3000);

  // Nothing leaks: what is used is what was settled, and nothing is held any more.
  for (Gateway& gateway : gateways_) gateway.Passes(Key({.requests_per_minute = 9}, "behind the last bill"));
  EXPECT_EQ(server_->Ask("ZCARD autoglm:running:key-1"), "0");
  Gateway& last = gateways_.front();
  EXPECT_TRUE(last.Passes(Key({.budget = 3000}), {.input_tokens = 3000 - used}));
  EXPECT_FALSE(last.Passes(Key({.budget = 3000}), {.input_tokens = 3000 - used + 1}));
}

}  // namespace
}  // namespace autoglm::guard
