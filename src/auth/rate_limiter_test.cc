#include "auth/rate_limiter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

namespace autoglm {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

class RateLimiterTest : public testing::Test {
 protected:
  RateLimiterTest() { clock_.Advance(1h); }

  static Principal Key(Policy policy, std::string id = "key-1") { return {.key_id = std::move(id), .policy = std::move(policy)}; }

  Permit Pass(const Principal& key, int64_t tokens = 0) {
    auto permit = limiter_.Acquire(key, tokens);
    EXPECT_TRUE(permit) << permit.error().error.message;
    return *std::move(permit);
  }
  RateLimiter::Refusal Refuse(const Principal& key, int64_t tokens = 0) {
    auto permit = limiter_.Acquire(key, tokens);
    EXPECT_FALSE(permit);
    return permit ? RateLimiter::Refusal() : std::move(permit).error();
  }

  ManualClock clock_;
  RateLimiter limiter_{clock_};
};

TEST_F(RateLimiterTest, NoLimits_EverythingPassesAndNothingIsRemembered) {
  for (int i = 0; i < 100; ++i) Pass(Key({}), 1'000'000);
  EXPECT_EQ(limiter_.num_keys(), 0);
  EXPECT_THAT(Pass(Key({})).limits().Headers(), IsEmpty());
}

TEST_F(RateLimiterTest, Requests_AreRefusedUntilTheSecondThatWasTold) {
  const Principal key = Key({.requests_per_minute = 4});
  for (int i = 0; i < 4; ++i) Pass(key);
  const RateLimiter::Refusal refusal = Refuse(key);
  EXPECT_EQ(refusal.error.code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(refusal.error.message, "the limit of 4 requests per minute is reached; try again in 15 s");
  EXPECT_EQ(refusal.retry_after_seconds, 15);
  EXPECT_EQ(refusal.state.requests.remaining, 0);
  clock_.Advance(14'999ms);
  EXPECT_EQ(Refuse(key).retry_after_seconds, 1) << "rounded up";
  clock_.Advance(1ms);
  Pass(key);
  Refuse(key);
}

TEST_F(RateLimiterTest, Keys_DoNotTakeFromEachOther) {
  Pass(Key({.requests_per_minute = 1}, "a"));
  Refuse(Key({.requests_per_minute = 1}, "a"));
  Pass(Key({.requests_per_minute = 1}, "b"));
}

TEST_F(RateLimiterTest, Concurrency_IsGivenBackAtTheEnd) {
  const Principal key = Key({.max_concurrent = 2});
  Permit first = Pass(key);
  std::optional<Permit> second = Pass(key);
  EXPECT_EQ(Refuse(key).retry_after_seconds, 1);
  EXPECT_THAT(Refuse(key).error.message, HasSubstr("2 requests at the same time"));
  second.reset();
  Permit third = Pass(key);
  Refuse(key);
  first = std::move(third);  // what it held before is given back, what it was given is not
  Permit fourth = Pass(key);
  Refuse(key);
}

TEST_F(RateLimiterTest, Reserve_CountsUntilItIsSettled) {
  const Principal key = Key({.tokens_per_minute = 600});
  Permit running = Pass(key, 500);
  EXPECT_EQ(running.limits().tokens.remaining, 100);
  EXPECT_EQ(Refuse(key, 300).retry_after_seconds, 20);
  running.Settle(100);
  Pass(key, 300).Settle(500);  // used more than it had reserved
  EXPECT_EQ(Refuse(key, 600).state.tokens.remaining, 0);
  EXPECT_EQ(Refuse(key, 1).retry_after_seconds, 1);
}

TEST_F(RateLimiterTest, UnsettledReserve_IsGivenBack) {
  const Principal key = Key({.tokens_per_minute = 600});
  {
    const Permit broken_off = Pass(key, 600);
  }
  EXPECT_EQ(Pass(key, 0).limits().tokens.remaining, 600);
}

TEST_F(RateLimiterTest, LargerThanAMinutesWorth_PassesWhereTheBucketIsFull) {
  const Principal key = Key({.tokens_per_minute = 600});
  Permit permit = Pass(key, 10'000);
  EXPECT_EQ(permit.limits().tokens.remaining, 0);
  permit.Settle(10'000);
  EXPECT_EQ(Refuse(key, 10'000).retry_after_seconds, 1000) << "what went beyond the minute is owed";
}

TEST_F(RateLimiterTest, Refusal_TakesNothingAndTellsTheLongestWait) {
  const Principal key = Key({.requests_per_minute = 60, .tokens_per_minute = 60, .max_concurrent = 1});
  std::optional<Permit> permit = Pass(key, 60);
  const RateLimiter::Refusal refusal = Refuse(key, 30);
  EXPECT_EQ(refusal.retry_after_seconds, 30);
  EXPECT_THAT(refusal.error.message, HasSubstr("60 tokens per minute"));
  EXPECT_EQ(refusal.state.requests.remaining, 59);
}

TEST_F(RateLimiterTest, Permit_OutlivesItsPolicyAndTheLimiter) {
  std::optional<RateLimiter> limiter(std::in_place, clock_);
  std::optional<Permit> old = *limiter->Acquire(Key({.tokens_per_minute = 1000}), 1000);
  EXPECT_FALSE(limiter->Acquire(Key({.tokens_per_minute = 100}), 1)) << "1000 are taken";
  EXPECT_TRUE(limiter->Acquire(Key({.requests_per_minute = 5}), 1)) << "no limit on tokens any more";
  old->Settle(10);
  EXPECT_EQ(limiter->Acquire(Key({.tokens_per_minute = 100}), 0)->limits().tokens.remaining, 100 - 10);
  limiter.reset();
  old.reset();
}

TEST_F(RateLimiterTest, IdleKeys_AreForgotten) {
  const Permit running = Pass(Key({.max_concurrent = 1}, "running"));
  for (int i = 0; i < 1000; ++i) Pass(Key({.requests_per_minute = 1}, std::to_string(i)));
  EXPECT_EQ(limiter_.num_keys(), 1001);
  clock_.Advance(59s);
  Refuse(Key({.requests_per_minute = 1}, "7"));
  EXPECT_EQ(limiter_.num_keys(), 1001) << "none has all its limits yet";
  clock_.Advance(11s);
  Pass(Key({.requests_per_minute = 1}, "new"));
  EXPECT_EQ(limiter_.num_keys(), 2);
  Refuse(Key({.max_concurrent = 1}, "running"));
}

TEST_F(RateLimiterTest, TooManyKeys_AreRefusedAndLaterAreNot) {
  for (int i = 0; i < 100'000; ++i) Pass(Key({.requests_per_minute = 1}, std::to_string(i)));
  EXPECT_EQ(Refuse(Key({.requests_per_minute = 1}, "one more")).retry_after_seconds, 60);
  clock_.Advance(60s);
  Pass(Key({.requests_per_minute = 1}, "one more"));
}

TEST_F(RateLimiterTest, Headers_AreThoseOfOpenAi) {
  const Principal key = Key({.requests_per_minute = 60, .tokens_per_minute = 1000});
  EXPECT_THAT(Pass(key, 100).limits().Headers(),
              ElementsAre(Pair("x-ratelimit-limit-requests", "60"), Pair("x-ratelimit-remaining-requests", "59"),
                          Pair("x-ratelimit-reset-requests", "1s"), Pair("x-ratelimit-limit-tokens", "1000"),
                          Pair("x-ratelimit-remaining-tokens", "900"), Pair("x-ratelimit-reset-tokens", "6s")));
}

TEST(RateLimits, ResetTimesAreWrittenAsOpenAiDoes) {
  EXPECT_EQ(FormatReset(0s), "0s");
  EXPECT_EQ(FormatReset(1ns), "1ms");
  EXPECT_EQ(FormatReset(20ms), "20ms");
  EXPECT_EQ(FormatReset(1s), "1s");
  EXPECT_EQ(FormatReset(1500ms), "1.5s");
  EXPECT_EQ(FormatReset(6min), "6m0s");
  EXPECT_EQ(FormatReset(72s + 5ms), "1m12.005s");
  EXPECT_EQ(FormatReset(1h + 2s), "1h0m2s");
}

// The clock stands still, so exactly what the limits say may pass, whoever comes first.
TEST_F(RateLimiterTest, SixtyFourThreads_NeverExceedALimit) {
  constexpr int kThreads = 64;
  constexpr int kTries = 500;
  constexpr int64_t kReserve = 7;
  const Principal key = Key({.requests_per_minute = 5000, .tokens_per_minute = 20'000, .max_concurrent = 10});
  std::atomic<int64_t> running = 0, most_running = 0, passed = 0, tokens_used = 0;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTries; ++i) {
        auto permit = limiter_.Acquire(key, kReserve);
        if (!permit) continue;
        const int64_t now_running = ++running;
        int64_t most = most_running.load();
        while (now_running > most && !most_running.compare_exchange_weak(most, now_running)) {
        }
        ++passed;
        std::this_thread::yield();
        const int64_t used = (t + i) % (kReserve + 1);
        if (i % 3 > 0) {
          tokens_used += used;
          permit->Settle(used);
        }
        --running;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most_running.load(), 10);
  EXPECT_LE(passed.load(), 5000);
  EXPECT_GT(passed.load(), 100);
  EXPECT_LE(tokens_used.load(), 20'000);
  // Nothing leaks: what is left is what was not used.
  const auto left = limiter_.Acquire(key, 0);
  const RateLimits limits = left ? left->limits() : left.error().state;
  EXPECT_EQ(limits.tokens.remaining, 20'000 - tokens_used);
  EXPECT_EQ(limits.requests.remaining, 5000 - passed - (left ? 1 : 0));
}

}  // namespace
}  // namespace autoglm
