#include "server/answer_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "json/json.h"
#include "server/test_exchange.h"

namespace autoglm {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::TestExchange;

class AnswerWriterTest : public ::testing::Test {
 protected:
  std::unique_ptr<AnswerWriter> Whole(size_t num_choices) { return MakeWholeWriter(Channel(), head_, num_choices, clock_); }
  std::unique_ptr<AnswerWriter> Stream(size_t num_choices) {
    return MakeStreamWriter(Channel(), head_, num_choices,
                            {.usage = StreamUsage::kInclude, .ping_interval = std::chrono::seconds(15)}, clock_);
  }
  std::unique_ptr<AnswerWriter> Resumable(StreamOptions options) {
    options.origin = StreamOrigin{.id = "id", .created_unix_seconds = 5, .seed = 3, .model = "m"};
    return MakeStreamWriter(Channel(), head_, 1, options, clock_);
  }
  // Without empty ones.
  static std::vector<std::string> LinesOf(const std::string& body) {
    std::vector<std::string> lines;
    std::istringstream in(body);
    for (std::string line; std::getline(in, line);) {
      if (!line.empty()) lines.push_back(line);
    }
    return lines;
  }
  ReplyChannel Channel() { return {.exchange = exchange_, .request_id = "r-1", .accepted = clock_.Now()}; }

  ManualClock clock_;
  std::shared_ptr<TestExchange> exchange_ = std::make_shared<TestExchange>();
  const ResponseHead head_{.id = "id", .created_unix_seconds = 5, .model = "m", .system_fingerprint = "fp"};
  const Error failure_{.code = ErrorCode::kInternal, .message = "broken"};
};

TEST_F(AnswerWriterTest, Whole_SendsOneBodyAtTheEnd) {
  const auto writer = Whole(2);
  writer->Text(1, "b");
  writer->Text(0, "a");
  writer->Text(0, "c");
  writer->Flush();
  writer->KeepAlive();
  writer->Finish(0, FinishReason::kStop);
  writer->Finish(1, FinishReason::kLength);
  EXPECT_FALSE(exchange_->is_started());
  clock_.Advance(std::chrono::milliseconds(12));
  writer->Complete({.num_prompt_tokens = 1});
  ASSERT_TRUE(exchange_->is_ended());
  EXPECT_EQ(exchange_->status(), 200);
  EXPECT_EQ(exchange_->Header("x-request-id"), "r-1");
  EXPECT_EQ(exchange_->Header("openai-processing-ms"), "12");
  EXPECT_EQ(exchange_->Header("Content-Type"), "application/json");
  const Json body = ParseJson(exchange_->body()).value();
  EXPECT_EQ(body["choices"][0]["message"]["content"], "ac");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(body["choices"][1]["message"]["content"], "b");
  EXPECT_EQ(body["choices"][1]["finish_reason"], "length");
}

TEST_F(AnswerWriterTest, Whole_FailureHasItsStatus) {
  EXPECT_EQ(Whole(1)->Fail(failure_), 500);
  EXPECT_EQ(exchange_->status(), 500);
  EXPECT_THAT(exchange_->body(), HasSubstr("broken"));
}

TEST_F(AnswerWriterTest, Stream_IsSilentUntilThereIsText) {
  const auto writer = Stream(1);
  writer->Flush();
  EXPECT_FALSE(exchange_->is_started());
  writer->Text(0, "a");
  writer->Text(0, "b");
  writer->Flush();
  EXPECT_EQ(exchange_->num_writes(), 1);
  EXPECT_EQ(exchange_->Header("Content-Type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(exchange_->Header("Cache-Control"), "no-cache, no-transform");
  EXPECT_EQ(exchange_->Header("X-Accel-Buffering"), "no");
  EXPECT_EQ(exchange_->Header("x-request-id"), "r-1");
  EXPECT_THAT(exchange_->body(), HasSubstr(R"("role":"assistant")"));
}

TEST_F(AnswerWriterTest, Stream_EndsWithFinishUsageAndDone) {
  const auto writer = Stream(2);
  writer->Finish(1, FinishReason::kLength);
  writer->Finish(0, FinishReason::kStop);
  writer->Complete({.num_prompt_tokens = 3});
  EXPECT_TRUE(exchange_->is_ended());
  const std::string& body = exchange_->body();
  const size_t role = body.find(R"({"index":1,"delta":{"role")");
  const size_t finish = body.find(R"({"index":1,"delta":{},"logprobs":null,"finish_reason":"length")");
  const size_t usage = body.find(R"("choices":[],"usage":{"prompt_tokens":3)");
  EXPECT_LT(role, finish);
  EXPECT_LT(finish, usage);
  EXPECT_THAT(body, EndsWith("data: [DONE]\n\n"));
}

TEST_F(AnswerWriterTest, StreamWithAnOrigin_SaysBeforeTextWhichTokensItAccountsFor) {
  const auto writer = Resumable({});
  writer->CachedTokens(4);
  writer->Tokens(0, std::vector<TokenId>{7});  // half a character
  writer->Flush();
  EXPECT_FALSE(exchange_->is_started());
  writer->Tokens(0, std::vector<TokenId>{8, 9});
  writer->Text(0, "a");
  writer->Text(0, "b");
  writer->Tokens(0, std::vector<TokenId>{10});
  writer->Finish(0, FinishReason::kLength);
  writer->Flush();
  EXPECT_THAT(LinesOf(exchange_->body()),
              ElementsAre(StartsWith(R"(: autoglm-stream {"id":"id","created":5,"seed":3,"model":"m","cached_tokens":4})"),
                          HasSubstr("role"), ": autoglm-tokens 7,8,9", HasSubstr(R"("content":"a")"),
                          HasSubstr(R"("content":"b")"), ": autoglm-tokens 10", HasSubstr(R"("finish_reason":"length")")));
}

TEST_F(AnswerWriterTest, StreamWithoutAnOrigin_SaysNothingOfTokens) {
  const auto writer = Stream(1);
  writer->Tokens(0, std::vector<TokenId>{7});
  writer->Text(0, "a");
  writer->Flush();
  EXPECT_EQ(exchange_->body().find(": autoglm"), std::string::npos);
}

TEST_F(AnswerWriterTest, ContinuedStream_HasNoRoleAgain) {
  const auto writer = Resumable({.is_continued = true});
  writer->Text(0, "a");
  writer->Flush();
  EXPECT_THAT(LinesOf(exchange_->body()), ElementsAre(StartsWith(": autoglm-stream"), HasSubstr(R"("content":"a")")));
}

TEST_F(AnswerWriterTest, Stream_FailureBeforeTheFirstText_HasItsStatus) {
  EXPECT_EQ(Stream(1)->Fail({.code = ErrorCode::kUnavailable, .message = "stopping"}), 503);
  EXPECT_EQ(exchange_->status(), 503);
  EXPECT_FALSE(exchange_->Header("Retry-After").empty());
}

TEST_F(AnswerWriterTest, Stream_FailureInTheMiddle_IsAnEventWithoutDone) {
  const auto writer = Stream(1);
  writer->Text(0, "a");
  writer->Flush();
  EXPECT_EQ(writer->Fail(failure_), 200);
  EXPECT_TRUE(exchange_->is_ended());
  EXPECT_THAT(exchange_->body(), HasSubstr("data: {\"error\":{\"message\":\"broken\""));
  EXPECT_EQ(exchange_->body().find("[DONE]"), std::string::npos);
}

TEST_F(AnswerWriterTest, Stream_PingsOnlyAfterSilence) {
  const auto writer = Stream(1);
  clock_.Advance(std::chrono::seconds(14));
  writer->KeepAlive();
  EXPECT_FALSE(exchange_->is_started());
  clock_.Advance(std::chrono::seconds(1));
  writer->KeepAlive();
  EXPECT_EQ(exchange_->body(), ": ping\n\n");
  clock_.Advance(std::chrono::seconds(10));
  writer->Text(0, "a");
  writer->Flush();
  clock_.Advance(std::chrono::seconds(10));
  writer->KeepAlive();
  EXPECT_EQ(exchange_->num_writes(), 2);
  EXPECT_THAT(exchange_->body(), StartsWith(": ping\n\ndata: {"));
}

}  // namespace
}  // namespace autoglm
