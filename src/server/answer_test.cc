#include "server/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/json.h"
#include "server/test_exchange.h"
#include "support/tiny_vocabulary.h"

namespace autoglm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::TestExchange;

// Plays the engine on streams of its own, and the delivery thread by calling Deliver itself.
class AnswerTest : public ::testing::Test {
 protected:
  struct FakeStream {
    CancelToken cancel;
    std::shared_ptr<TokenStream> stream = std::make_shared<TokenStream>(cancel);
    Sequence sequence;

    void Deliver(std::optional<TokenId> token, std::optional<FinishReason> finish = std::nullopt) {
      sequence.num_prompt_tokens = 7;
      sequence.num_cached_tokens = 4;
      stream->Deliver(token, finish, sequence);
    }
  };

  // The tests are the delivery thread: a stopped one takes no notices.
  AnswerTest() { delivery_.Stop(); }

  std::shared_ptr<Answer> MakeAnswer(size_t num_choices, bool is_streamed) {
    for (size_t i = 0; i < num_choices; ++i) streams_.push_back(std::make_unique<FakeStream>());
    const ReplyChannel channel{.exchange = exchange_, .request_id = "r", .accepted = clock_.Now()};
    const ResponseHead head{.id = "id", .model = "m"};
    Answer::Parts parts{.engine = nullptr, .choices = {}, .writer = nullptr, .exchange = exchange_, .outcome = {}};
    for (const auto& stream : streams_) {
      parts.choices.push_back(
          {.prompt_index = 0, .generation = TextGeneration(AnswerText(*tokenizer_, {"END"}), stream->stream)});
    }
    parts.writer = is_streamed ? MakeStreamWriter(channel, head, num_choices, {}, clock_)
                               : MakeWholeWriter(channel, head, num_choices, clock_);
    parts.outcome = {.id = "r", .method = "POST", .route = "/v1/chat/completions", .accepted = clock_.Now(), .model = "m"};
    return std::make_shared<Answer>(std::move(parts), delivery_, metrics_, clock_);
  }
  double NumFinished(const char* reason) { return of_model_.RequestsFinished(reason).Value(); }
  double NumAnswers(int code) { return metrics_.HttpRequests("/v1/chat/completions", code).Value(); }

  ManualClock clock_;
  ServerMetrics metrics_;
  ModelMetrics& of_model_ = metrics_.ForModel("m");
  DeliveryThread delivery_{std::chrono::hours(1)};
  TinyVocabulary vocabulary_;
  std::unique_ptr<Tokenizer> tokenizer_ = vocabulary_.Build();
  std::shared_ptr<TestExchange> exchange_ = std::make_shared<TestExchange>();
  std::vector<std::unique_ptr<FakeStream>> streams_;
};

TEST_F(AnswerTest, WholeAnswer_IsSentWhenTheStreamEnds) {
  const auto answer = MakeAnswer(1, false);
  streams_[0]->Deliver('a');
  EXPECT_EQ(answer->Deliver(), DeliveryJob::State::kOpen);
  streams_[0]->Deliver('b', FinishReason::kLength);
  EXPECT_EQ(answer->Deliver(), DeliveryJob::State::kDone);
  const Json body = ParseJson(exchange_->body()).value();
  EXPECT_EQ(body["choices"][0]["message"]["content"], "ab");
  EXPECT_EQ(body["usage"]["prompt_tokens"], 7);
  EXPECT_EQ(body["usage"]["completion_tokens"], 2);
  EXPECT_EQ(body["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
  EXPECT_EQ(NumFinished("length"), 1);
  EXPECT_EQ(NumAnswers(200), 1);
  EXPECT_EQ(of_model_.generation_tokens.Value(), 2);
  EXPECT_EQ(of_model_.prompt_tokens.Value(), 7);
}

TEST_F(AnswerTest, ChoicesOfOnePrompt_CountItsTokensOnce) {
  const auto answer = MakeAnswer(3, false);
  for (const auto& stream : streams_) stream->Deliver('a', FinishReason::kLength);
  EXPECT_EQ(answer->Deliver(), DeliveryJob::State::kDone);
  const Json body = ParseJson(exchange_->body()).value();
  EXPECT_EQ(body["choices"].size(), 3u);
  EXPECT_EQ(body["usage"]["prompt_tokens"], 7);
  EXPECT_EQ(body["usage"]["completion_tokens"], 3);
}

TEST_F(AnswerTest, NewsOfOneRound_AreOneWrite) {
  const auto answer = MakeAnswer(2, true);
  for (const auto& stream : streams_) {
    stream->Deliver('a');
    stream->Deliver('b');
  }
  EXPECT_EQ(answer->Deliver(), DeliveryJob::State::kOpen);
  EXPECT_EQ(exchange_->num_writes(), 1);
  EXPECT_EQ(answer->Deliver(), DeliveryJob::State::kOpen);
  EXPECT_EQ(exchange_->num_writes(), 1);
  answer->Abort();
}

TEST_F(AnswerTest, StopString_CompletesAndCancelsTheSequence) {
  const auto answer = MakeAnswer(1, true);
  for (const char byte : std::string_view("xENDy")) streams_[0]->Deliver(byte);
  EXPECT_EQ(answer->Deliver(), DeliveryJob::State::kDone);
  EXPECT_TRUE(streams_[0]->cancel.IsCancelled());
  EXPECT_TRUE(exchange_->is_ended());
  EXPECT_THAT(exchange_->body(), HasSubstr(R"("finish_reason":"stop")"));
  EXPECT_THAT(exchange_->body(), HasSubstr(R"("content":"x"})"));
  EXPECT_THAT(exchange_->body(), Not(HasSubstr("EN")));
  EXPECT_EQ(NumFinished("stop"), 1);
}

TEST_F(AnswerTest, ClientGone_CancelsEveryChoiceAndIsRecorded) {
  const auto answer = MakeAnswer(2, true);
  streams_[0]->Deliver('a');
  EXPECT_EQ(answer->Deliver(), DeliveryJob::State::kOpen);
  exchange_->GoAway();
  for (const auto& stream : streams_) {
    EXPECT_TRUE(stream->cancel.IsCancelled());
    stream->Deliver(std::nullopt, FinishReason::kCancelled);
  }
  EXPECT_EQ(answer->Deliver(), DeliveryJob::State::kDone);
  EXPECT_EQ(NumFinished("cancelled"), 2);
  EXPECT_EQ(NumAnswers(499), 1);
  EXPECT_EQ(answer->Deliver(), DeliveryJob::State::kDone);
  EXPECT_EQ(NumFinished("cancelled"), 2);
}

TEST_F(AnswerTest, FailureOfOneChoice_FailsTheAnswerAndCancelsTheOthers) {
  const auto answer = MakeAnswer(2, false);
  streams_[0]->stream->Fail(FinishReason::kError, "no memory");
  EXPECT_EQ(answer->Deliver(), DeliveryJob::State::kDone);
  EXPECT_EQ(exchange_->status(), 500);
  EXPECT_THAT(exchange_->body(), HasSubstr("no memory"));
  EXPECT_TRUE(streams_[1]->cancel.IsCancelled());
  EXPECT_EQ(NumFinished("error"), 1);
  EXPECT_EQ(NumFinished("cancelled"), 1);
}

TEST_F(AnswerTest, EngineThatStops_IsUnavailableToTheClient) {
  const auto answer = MakeAnswer(1, false);
  streams_[0]->Deliver(std::nullopt, FinishReason::kCancelled);
  EXPECT_EQ(answer->Deliver(), DeliveryJob::State::kDone);
  EXPECT_EQ(exchange_->status(), 503);
}

TEST_F(AnswerTest, Abort_EndsARunningStreamWithAnError) {
  const auto answer = MakeAnswer(1, true);
  streams_[0]->Deliver('a');
  EXPECT_EQ(answer->Deliver(), DeliveryJob::State::kOpen);
  answer->Abort();
  EXPECT_TRUE(exchange_->is_ended());
  EXPECT_THAT(exchange_->body(), HasSubstr("shutting down"));
  EXPECT_THAT(exchange_->body(), Not(HasSubstr("[DONE]")));
  EXPECT_TRUE(streams_[0]->cancel.IsCancelled());
}

TEST_F(AnswerTest, ClosedAnswer_IsHeldByNobody) {
  std::weak_ptr<Answer> weak;
  {
    const auto answer = MakeAnswer(2, false);
    weak = answer;
    EXPECT_EQ(answer->Deliver(), DeliveryJob::State::kOpen);
    for (const auto& stream : streams_) stream->Deliver('a', FinishReason::kLength);
    EXPECT_EQ(answer->Deliver(), DeliveryJob::State::kDone);
  }
  EXPECT_TRUE(weak.expired());
}

TEST_F(AnswerTest, Times_AreObservedFromTheFirstByteOfTheRequest) {
  const auto answer = MakeAnswer(1, false);
  const auto at = [&](int ms) { return clock_.Now() + std::chrono::milliseconds(ms); };
  SequenceTimes& times = streams_[0]->sequence.times;
  times.enqueued = at(1);
  times.first_scheduled = at(11);
  times.first_token = at(111);
  times.last_token = at(311);
  streams_[0]->Deliver('a');
  streams_[0]->Deliver('b');
  streams_[0]->Deliver('c', FinishReason::kLength);
  clock_.Advance(std::chrono::milliseconds(400));
  EXPECT_EQ(answer->Deliver(), DeliveryJob::State::kDone);
  const auto sum = [](prometheus::Histogram& histogram) { return histogram.Collect().histogram.sample_sum; };
  EXPECT_DOUBLE_EQ(sum(of_model_.queue_time), 0.010);
  EXPECT_DOUBLE_EQ(sum(of_model_.prefill_time), 0.100);
  EXPECT_DOUBLE_EQ(sum(of_model_.decode_time), 0.200);
  EXPECT_DOUBLE_EQ(sum(of_model_.time_per_output_token), 0.100);
  EXPECT_DOUBLE_EQ(of_model_.time_to_first_token.For("").Collect().histogram.sample_sum, 0.111);
  EXPECT_DOUBLE_EQ(of_model_.e2e_latency.For("").Collect().histogram.sample_sum, 0.400);
}

}  // namespace
}  // namespace autoglm
