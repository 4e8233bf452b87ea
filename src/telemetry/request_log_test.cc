#include "telemetry/request_log.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace autoglm {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

class RequestLogTest : public testing::Test {
 protected:
  std::shared_ptr<ActiveRequest> Begin(RequestLog& log, const std::string& id) {
    const TimePoint now = clock_.Now();
    return log.Begin({.id = id, .method = "POST", .accepted = now, .head_complete = now, .body_complete = now});
  }
  std::shared_ptr<ActiveRequest> Begin(const std::string& id) { return Begin(log_, id); }
  void End(ActiveRequest& request, int status = 200) {
    request.Answered(status);
    request.Delivered({.ended = clock_.Now(), .is_complete = true});
  }

  ManualClock clock_;
  RequestLog log_{clock_, {.num_records = 8, .num_kept_records = 4}};
};

TEST_F(RequestLogTest, Stages_AddUpToTheTotal) {
  clock_.Advance(milliseconds(5));
  const TimePoint accepted = clock_.Now();
  const TimePoint head = accepted + microseconds(30);
  const TimePoint body = head + microseconds(70);
  const auto request =
      log_.Begin({.id = "a", .method = "POST", .accepted = accepted, .head_complete = head, .body_complete = body});
  clock_.Advance(microseconds(110));
  request->Enter(Stage::kParse);
  clock_.Advance(nanoseconds(12'345));
  request->Enter(Stage::kAdmission);
  clock_.Advance(microseconds(1));
  const TimePoint enqueued = clock_.Now();
  StageTimes stages{};
  stages[static_cast<size_t>(Stage::kQueue)] = 1'000;
  stages[static_cast<size_t>(Stage::kDecode)] = 7'000;
  request->Append(enqueued, enqueued + microseconds(10), stages, Stage::kDeliver);
  clock_.Advance(microseconds(20));
  request->Answered(200);
  clock_.Advance(microseconds(3));
  request->Delivered({.ended = clock_.Now(), .is_complete = true, .num_sent_bytes = 17, .write_blocked = microseconds(2)});

  const auto record = log_.Find("a");
  ASSERT_TRUE(record);
  EXPECT_EQ(record->state, RequestState::kDone);
  EXPECT_EQ(record->Of(Stage::kReceiveHead), 30'000);
  EXPECT_EQ(record->Of(Stage::kReceiveBody), 70'000);
  EXPECT_EQ(record->Of(Stage::kParse), 12'345);
  EXPECT_EQ(record->Of(Stage::kAdmission), 1'000);
  EXPECT_EQ(record->Of(Stage::kQueue), 1'000);
  EXPECT_EQ(record->Of(Stage::kDecode), 7'000);
  EXPECT_EQ(record->Of(Stage::kDeliver), 13'000) << "from what the engine ended, not from when that was heard of";
  EXPECT_EQ(record->Of(Stage::kUnexplained), 10'000 + 2'000) << "before the first stage, and what Append was not told";
  EXPECT_EQ(record->SumOfStages(), record->total_ns);
  EXPECT_EQ(record->write_blocked_ns, 2'000);
  EXPECT_EQ(record->num_sent_bytes, 17);
}

TEST_F(RequestLogTest, TimeThatGoesBack_StandsStill) {
  clock_.Advance(milliseconds(1));
  const auto request = Begin("a");
  request->EnterAt(Stage::kParse, clock_.Now() - microseconds(500));
  StageTimes more_than_there_was{};
  more_than_there_was[static_cast<size_t>(Stage::kQueue)] = 1'000'000'000;
  request->Append(clock_.Now() - microseconds(10), clock_.Now() + microseconds(40), more_than_there_was, Stage::kDeliver);
  clock_.Advance(microseconds(90));
  End(*request);
  const auto record = log_.Find("a");
  ASSERT_TRUE(record);
  EXPECT_EQ(record->total_ns, 90'000);
  EXPECT_EQ(record->Of(Stage::kQueue), 40'000);
  EXPECT_EQ(record->SumOfStages(), record->total_ns);
}

TEST_F(RequestLogTest, ClientThatLeaves_IsWaitedForUntilTheWorkHasEnded) {
  const auto request = Begin("a");
  request->Enter(Stage::kDecode);
  clock_.Advance(milliseconds(1));
  request->Delivered({.ended = clock_.Now(), .is_complete = false});
  EXPECT_EQ(log_.num_finished(), 0);
  clock_.Advance(milliseconds(2));
  request->Answered(499);
  const auto record = log_.Find("a");
  ASSERT_TRUE(record);
  EXPECT_TRUE(record->is_client_gone);
  EXPECT_EQ(record->total_ns, 3'000'000);
  EXPECT_EQ(record->Of(Stage::kDecode), 3'000'000);
}

TEST_F(RequestLogTest, LetGoOf_LeavesItsRecordAllTheSame) {
  Begin("a").reset();
  EXPECT_EQ(log_.num_finished(), 1);
  EXPECT_EQ(log_.num_active(), 0);
}

TEST_F(RequestLogTest, Active_SaysWhatTheyAreDoing) {
  const auto a = Begin("a");
  const auto b = Begin("b");
  b->Enter(Stage::kQueue);
  clock_.Advance(milliseconds(7));
  const auto active = log_.Active(10);
  ASSERT_EQ(active.size(), 2U);
  EXPECT_EQ(active[0].id.view(), "b");
  EXPECT_EQ(active[0].stage, Stage::kQueue);
  EXPECT_EQ(active[0].Of(Stage::kQueue), 7'000'000);
  EXPECT_EQ(active[0].SumOfStages(), active[0].total_ns);
  EXPECT_EQ(log_.Find("b")->state, RequestState::kActive);
}

TEST_F(RequestLogTest, OnlyTheLast_AreKept_ButFailuresLonger) {
  End(*Begin("failed"), 503);
  for (int i = 0; i < 20; ++i) End(*Begin("r" + std::to_string(i)));
  EXPECT_FALSE(log_.Find("r11"));
  EXPECT_TRUE(log_.Find("r12"));
  EXPECT_TRUE(log_.Find("failed"));
  const auto last = log_.Last(100, [](const RequestRecord&) { return true; });
  ASSERT_EQ(last.size(), 8U);
  EXPECT_EQ(last.front().id.view(), "r19");
  EXPECT_EQ(last.back().id.view(), "r12");
  EXPECT_EQ(log_.LastKept(100, [](const RequestRecord&) { return true; }).size(), 1U);
}

TEST_F(RequestLogTest, Last_LooksThroughManyInOrder) {
  RequestLog log(clock_, {.num_records = 1000, .num_kept_records = 4});
  for (int i = 0; i < 333; ++i) End(*Begin(log, std::to_string(i)));
  const auto even = log.Last(1000, [](const RequestRecord& record) { return (record.id.view().back() - '0') % 2 == 0; });
  ASSERT_EQ(even.size(), 167U);
  for (size_t i = 0; i < even.size(); ++i) EXPECT_EQ(even[i].id.view(), std::to_string(332 - 2 * i));
  EXPECT_EQ(log.Last(1000, [](const RequestRecord&) { return true; }, 10).size(), 10U);
}

TEST_F(RequestLogTest, Consume_GivesEachOnce_AndCountsTheMissed) {
  std::vector<std::string> seen;
  const auto take = [&](const RequestRecord& record) { seen.emplace_back(record.id.view()); };
  for (const char* id : {"a", "b"}) End(*Begin(id));
  log_.Consume(take);
  log_.Consume(take);
  EXPECT_EQ(seen, (std::vector<std::string>{"a", "b"}));
  for (int i = 0; i < 10; ++i) End(*Begin(std::to_string(i)));
  log_.Consume(take);
  EXPECT_EQ(seen.size(), 10U);
  EXPECT_EQ(seen[2], "2");
  EXPECT_EQ(log_.num_missed(), 2);
}

TEST_F(RequestLogTest, Judge_SeesWhatItTookUntilTheAnswerWasKnown) {
  int64_t seen_ns = 0;
  log_.SetJudge([&](const RequestRecord& record) {
    seen_ns = record.total_ns;
    return record.status == 200;
  });
  const auto request = Begin("a");
  clock_.Advance(milliseconds(3));
  request->Answered(200);
  clock_.Advance(milliseconds(4));
  request->Delivered({.ended = clock_.Now(), .is_complete = true});
  EXPECT_EQ(seen_ns, 3'000'000);
  EXPECT_TRUE(log_.Find("a")->violates_slo);
  EXPECT_EQ(log_.Find("a")->total_ns, 7'000'000);
  EXPECT_EQ(log_.LastKept(5, [](const RequestRecord&) { return true; }).size(), 1U);
}

TEST_F(RequestLogTest, Looks_CrowdNobodyOut) {
  End(*Begin("a"));
  for (int i = 0; i < 50; ++i) {
    const auto look = Begin("look");
    look->Update([](RequestRecord& record) { record.is_look = true; });
    End(*look);
  }
  EXPECT_TRUE(log_.Find("a"));
  EXPECT_TRUE(log_.Find("look"));
  EXPECT_EQ(log_.Last(100, [](const RequestRecord&) { return true; }).size(), 1U);
}

TEST_F(RequestLogTest, AStageThatSomebodyElseTimed_MayHaveBegunBeforeItWasKnown) {
  const auto request = Begin("a");
  request->Enter(Stage::kAdmission);
  clock_.Advance(microseconds(5));
  const TimePoint enqueued = clock_.Now();
  clock_.Advance(microseconds(3));
  request->Enter(Stage::kQueue);  // as far as anybody outside knows
  clock_.Advance(microseconds(92));
  EXPECT_EQ(log_.Active(1)[0].stage, Stage::kQueue);
  StageTimes stages{};
  stages[static_cast<size_t>(Stage::kQueue)] = 20'000;
  stages[static_cast<size_t>(Stage::kPrefill)] = 75'000;
  request->Append(enqueued, clock_.Now(), stages, Stage::kDecode);
  EXPECT_EQ(log_.Active(1)[0].stage, Stage::kDecode);
  End(*request);
  const auto record = log_.Find("a");
  EXPECT_EQ(record->Of(Stage::kAdmission), 5'000);
  EXPECT_EQ(record->spans[0].stage, Stage::kAdmission);
  EXPECT_EQ(record->spans[0].length_us, 5U);
  EXPECT_EQ(record->Of(Stage::kQueue), 20'000);
  EXPECT_EQ(record->Of(Stage::kPrefill), 75'000);
  EXPECT_EQ(record->SumOfStages(), record->total_ns);
}

TEST_F(RequestLogTest, LongIds_AreFoundByTheirBeginning) {
  const std::string id(100, 'x');
  End(*Begin(id));
  EXPECT_TRUE(log_.Find(id));
}

TEST_F(RequestLogTest, MoreSpansThanThereIsRoomFor_ArePutTogether) {
  const auto request = Begin("a");
  for (int i = 0; i < 40; ++i) {
    request->Enter(i % 2 == 0 ? Stage::kWait : Stage::kRetryWait);
    clock_.Advance(microseconds(10));
  }
  End(*request);
  const auto record = log_.Find("a");
  ASSERT_EQ(record->num_spans, RequestRecord::kMaxSpans);
  EXPECT_EQ(record->spans.back().end_us(), 400U);
  EXPECT_EQ(record->spans.back().num_parts, 40 - RequestRecord::kMaxSpans + 1);
  EXPECT_EQ(record->SumOfStages(), 400'000);
}

TEST_F(RequestLogTest, ManyThreads_LoseNothing) {
  RequestLog log(Clock::Real(), {.num_records = 4096, .num_kept_records = 16});
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&log, t] {
      for (int i = 0; i < 500; ++i) {
        const TimePoint now = Clock::Real().Now();
        const auto request = log.Begin(
            {.id = std::to_string(t * 1000 + i), .method = "POST", .accepted = now, .head_complete = now, .body_complete = now});
        std::thread other;
        if (i % 100 == 0) other = std::thread([&] { request->Delivered({.ended = Clock::Real().Now(), .is_complete = true}); });
        request->Enter(Stage::kHandle);
        request->Answered(200);
        if (other.joinable()) other.join();
        request->Delivered({.ended = Clock::Real().Now(), .is_complete = true});
      }
    });
  }
  int64_t num_seen = 0;
  const auto take = [&](const RequestRecord& record) {
    ++num_seen;
    EXPECT_EQ(record.SumOfStages(), record.total_ns);
  };
  for (int i = 0; i < 50; ++i) {
    log.Consume(take);
    (void)log.Active(100);
  }
  for (std::thread& thread : threads) thread.join();
  log.Consume(take);
  EXPECT_EQ(num_seen, 2000);
  EXPECT_EQ(log.num_active(), 0);
}

TEST(InternedNamesTest, IsBounded) {
  InternedNames names(4);
  EXPECT_EQ(names.NameOf(names.IndexOf("a")), "a");
  EXPECT_EQ(names.NameOf(names.IndexOf("b")), "b");
  EXPECT_EQ(names.NameOf(names.IndexOf("c")), "other");
  EXPECT_EQ(names.NameOf(names.IndexOf("a")), "a");
  EXPECT_EQ(names.IndexOf(""), 0);
  EXPECT_EQ(names.NameOf(99), "");
}

// What a thread remembers is of the table that it asked, also where another one stands in its place now.
TEST(InternedNamesTest, EachTable_HasNumbersOfItsOwn) {
  for (int i = 0; i < 3; ++i) {
    InternedNames names;
    for (int other = 0; other < i; ++other) names.IndexOf("other-" + std::to_string(other));
    EXPECT_EQ(names.IndexOf("a"), 2 + i);
    EXPECT_EQ(names.IndexOf("a"), 2 + i);
  }
}

TEST(RequestTextsTest, AreTakenOnce_TheOldestGoFirst) {
  RequestTexts texts(10);
  texts.Add(SpanId{1}, {"abcd", "e"});
  texts.Add(SpanId{2}, {"fghij", ""});
  EXPECT_EQ(texts.Take(SpanId{1})->input_messages, "abcd");
  EXPECT_FALSE(texts.Take(SpanId{1}));
  texts.Add(SpanId{3}, {"kl", ""});
  texts.Add(SpanId{4}, {"mnop", ""});
  EXPECT_FALSE(texts.Take(SpanId{2}));
  EXPECT_EQ(texts.Take(SpanId{3})->input_messages, "kl");
  EXPECT_EQ(texts.Take(SpanId{4})->input_messages, "mnop");
}

TEST(RequestTextsTest, WhatNobodyTook_IsForgottenAfterAPass) {
  RequestTexts texts;
  texts.Add(SpanId{1}, {"a", ""});
  texts.EndPass();
  texts.Add(SpanId{2}, {"b", ""});
  texts.EndPass();
  EXPECT_FALSE(texts.Take(SpanId{1}));
  EXPECT_TRUE(texts.Take(SpanId{2}));
}

TEST_F(RequestLogTest, Texts_AreThereWhereTheyAreKept) {
  const auto plain = Begin("a");
  EXPECT_FALSE(plain->keeps_text());
  plain->SetInputMessages("[1]");
  End(*plain);
  RequestLog log(clock_, {.num_records = 8, .keeps_texts = true});
  const auto kept = Begin(log, "b");
  ASSERT_TRUE(kept->keeps_text());
  kept->SetInputMessages("[1]");
  kept->SetOutputMessages("[2]");
  EXPECT_FALSE(log.texts()->Take(kept->span()));
  End(*kept);
  const auto text = log.texts()->Take(kept->span());
  ASSERT_TRUE(text);
  EXPECT_EQ(text->input_messages, "[1]");
  EXPECT_EQ(text->output_messages, "[2]");
}

}  // namespace
}  // namespace autoglm
