#include "engine/admission.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <vector>

#include "base/random.h"

namespace autoglm {
namespace {

Duration Milliseconds(int64_t count) { return std::chrono::milliseconds(count); }

// An engine that computes one prompt token in a millisecond, an answer token in ten for each of up to four.
LoadEstimate Load(double backlog_seconds = 0) {
  LoadEstimate load{.seconds_per_answer_token = 0.0025,
                    .seconds_per_step = 0.01,
                    .mean_answer_tokens = 100,
                    .backlog_seconds = backlog_seconds,
                    .prompt_backlog_seconds = backlog_seconds / 2};
  PromptWork work;
  work.Add(0, 1000);
  load.prompt_cost.Observe(work, 1.0);
  return load;
}

class AdmissionTest : public testing::Test {
 protected:
  AdmissionTest() { admission_.Update(Load()); }

  static AdmissionAsk Ask(uint64_t fingerprint = 0, int64_t num_prompt_tokens = 500) {
    return {.num_prompt_tokens = num_prompt_tokens, .max_answer_tokens = 100, .fingerprint = fingerprint};
  }
  bool Admit(const AdmissionAsk& ask) {
    const auto admitted = admission_.Admit(ask);
    if (!admitted) last_ = admitted.error();
    return admitted.has_value();
  }

  ManualClock clock_;
  Admission admission_{{.max_requests = 4, .max_running = 2, .max_backlog_seconds = 10}, clock_};
  Refusal last_;
};

TEST_F(AdmissionTest, RequestsBeyondThePlaces_AreRefused) {
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(Admit(Ask()));
  EXPECT_FALSE(Admit(Ask()));
  EXPECT_EQ(last_.error.code, ErrorCode::kResourceExhausted);
  EXPECT_GE(last_.retry_after_seconds, 1);
  EXPECT_EQ(admission_.num_inside(), 4);
  admission_.Leave();
  EXPECT_TRUE(Admit(Ask()));
}

TEST_F(AdmissionTest, MoreAnswersAtOnceThanPlaces_NeverFit) {
  AdmissionAsk ask = Ask();
  ask.num_requests = 5;
  EXPECT_FALSE(Admit(ask));
  EXPECT_EQ(last_.error.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(last_.error.param, "n");
}

TEST_F(AdmissionTest, WorkBeyondTheBound_IsRefused_AndSaysWhenThereIsRoom) {
  EXPECT_TRUE(Admit(Ask(0, 6000)));
  EXPECT_FALSE(Admit(Ask(1, 4500)));
  EXPECT_EQ(last_.retry_after_seconds, 1) << "6.25 s inside, 4.75 s more, 10 s allowed";
  EXPECT_FALSE(Admit(Ask(2, 500))) << "the room that there is is promised";
}

TEST_F(AdmissionTest, OneAlone_IsTakenHoweverLargeItIs) { EXPECT_TRUE(Admit(Ask(0, 1'000'000))); }

TEST_F(AdmissionTest, LargeOne_IsTakenBesideOthers_WhereHalfOfTheRoomIsFree) {
  EXPECT_TRUE(Admit(Ask(0, 5000)));
  EXPECT_FALSE(Admit(Ask(0, 1'000'000))) << "5.25 s inside";
  EXPECT_EQ(last_.retry_after_seconds, 1);
  admission_.Entered(5000);
  admission_.Update(Load(4.9));
  EXPECT_TRUE(Admit(Ask(0, 1'000'000)));
}

TEST_F(AdmissionTest, WhatHasEntered_IsNotCountedTwice) {
  EXPECT_TRUE(Admit(Ask(0, 6000)));
  admission_.Entered(6000);
  admission_.Update(Load(6.25));
  EXPECT_NEAR(admission_.Pressure(), 0.625, 1e-6);
}

TEST_F(AdmissionTest, Promise_IsKeptFree_AndRedeemedByTheSameRequest) {
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(Admit(Ask()));
  for (int i = 0; i < 4; ++i) admission_.Entered(500);
  admission_.Update(Load(3));
  EXPECT_FALSE(Admit(Ask(7)));
  EXPECT_EQ(last_.retry_after_seconds, 1);
  EXPECT_EQ(admission_.num_promised(), 1);
  admission_.Leave();
  EXPECT_FALSE(Admit(Ask(8))) << "the free place is promised";
  EXPECT_EQ(last_.retry_after_seconds, 1);
  EXPECT_FALSE(Admit(Ask(7))) << "too early";
  clock_.Advance(Milliseconds(1000));
  EXPECT_TRUE(Admit(Ask(7)));
  EXPECT_EQ(admission_.num_promised(), 1);
}

TEST_F(AdmissionTest, PromiseNobodyComesFor_Ends) {
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(Admit(Ask()));
  EXPECT_FALSE(Admit(Ask(7)));
  admission_.Leave();
  clock_.Advance(Milliseconds(20'000));
  EXPECT_TRUE(Admit(Ask(8)));
  EXPECT_EQ(admission_.num_promised(), 0);
}

TEST_F(AdmissionTest, EngineThatWouldRunDry_TakesOthersBeforeThePromised) {
  EXPECT_TRUE(Admit(Ask(0, 6000)));
  EXPECT_FALSE(Admit(Ask(1, 4500)));
  EXPECT_FALSE(Admit(Ask(2, 4500)));
  admission_.Entered(6000);
  admission_.Update(Load(3));
  EXPECT_FALSE(Admit(Ask(0, 500))) << "3 s of work, and 9.5 s promised";
  admission_.Update(Load(0.5));
  EXPECT_TRUE(Admit(Ask(3, 500)));
  EXPECT_FALSE(Admit(Ask(4, 1500))) << "so much it has to do now";
  EXPECT_EQ(admission_.num_promised(), 3);
}

TEST_F(AdmissionTest, TimeoutThatCannotBeMet_IsRefusedAtOnce) {
  AdmissionAsk ask = Ask(0, 2000);  // 2 s and 100 tokens of 10 ms
  ask.timeout = Milliseconds(2900);
  EXPECT_FALSE(Admit(ask));
  EXPECT_EQ(last_.error.code, ErrorCode::kUnavailable);
  EXPECT_EQ(admission_.num_promised(), 0) << "not even alone";
  ask.timeout = Milliseconds(3100);
  EXPECT_TRUE(Admit(ask));
}

TEST_F(AdmissionTest, TimeoutThatOthersStandInTheWayOf_GetsAPromise) {
  EXPECT_TRUE(Admit(Ask(0, 2000)));
  admission_.Entered(2000);
  admission_.Update(Load(8));
  AdmissionAsk ask = Ask(5);
  ask.timeout = Milliseconds(3100);
  EXPECT_FALSE(Admit(ask)) << "behind 4 s of prompts";
  EXPECT_EQ(last_.error.code, ErrorCode::kUnavailable);
  EXPECT_EQ(last_.retry_after_seconds, 4) << "4 s before it, 1.5 s of its own, and 1.86 s in which it is timely";
  EXPECT_EQ(admission_.num_promised(), 1);
  ask.fingerprint = 6;
  ask.is_urgent = true;
  EXPECT_TRUE(Admit(ask)) << "before them";
}

// Three times as many requests as the engine can serve, for a while; who is refused comes back when it was told. The engine's own
// estimates are off by up to a third.
TEST(AdmissionOverload, WhoObeysRetryAfter_GetsIn) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Random random(seed);
    ManualClock clock;
    Admission admission({.max_requests = 20, .max_running = 4, .max_backlog_seconds = 10}, clock);
    struct Work {
      double seconds;
    };
    std::deque<double> inside;  // seconds of work left, one after the other
    std::multimap<TimePoint, uint64_t> returns;
    std::map<uint64_t, int> num_refusals;
    int64_t num_returned = 0;
    int64_t num_in_at_once = 0;
    const auto ask = [&](uint64_t id) {
      const auto admitted = admission.Admit({.num_prompt_tokens = 750, .max_answer_tokens = 100, .fingerprint = id});
      const bool returns_now = num_refusals.contains(id);
      num_returned += returns_now ? 1 : 0;
      if (admitted) {
        num_in_at_once += returns_now ? 1 : 0;
        num_refusals.erase(id);
        admission.Entered(750);
        inside.push_back(0.66 + 0.68 * random.NextDouble());
      } else {
        ++num_refusals[id];
        returns.emplace(clock.Now() + std::chrono::seconds(admitted.error().retry_after_seconds), id);
      }
    };
    uint64_t next_id = 1;
    for (int tick = 0; tick < 60'000; ++tick) {
      clock.Advance(Milliseconds(10));
      double left = 0.01;
      while (!inside.empty() && left > 0) {
        const double part = std::min(left, inside.front());
        left -= part;
        inside.front() -= part;
        if (inside.front() > 1e-9) break;
        inside.pop_front();
        admission.Leave();
      }
      admission.Update(Load(static_cast<double>(inside.size())));
      if (tick < 6000 && tick % 33 == 0) ask(next_id++);  // three a second for a minute
      while (!returns.empty() && returns.begin()->first <= clock.Now()) {
        const uint64_t id = returns.begin()->second;
        returns.erase(returns.begin());
        ask(id);
      }
    }
    EXPECT_GT(num_returned, 80);
    EXPECT_GE(static_cast<double>(num_in_at_once), 0.9 * static_cast<double>(num_returned)) << "seed " << seed;
    EXPECT_TRUE(num_refusals.empty()) << "in the end everyone is served";
    EXPECT_EQ(admission.num_inside(), 0);
    EXPECT_EQ(admission.num_promised(), 0);
  }
}

}  // namespace
}  // namespace autoglm
