#include "server/text_generation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string_view>

#include "support/tiny_vocabulary.h"

namespace autoglm {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class TextGenerationTest : public ::testing::Test {
 protected:
  TextGenerationTest() {
    eos_ = vocabulary_.AddToken("<|end|>", TokenType::kControl);
    plain_eos_ = vocabulary_.AddNormal("<eot>");
    vocabulary_.eos = {eos_, plain_eos_};
    tokenizer_ = vocabulary_.Build();
  }

  TextGeneration Generation(std::vector<std::string> stop = {}) {
    return TextGeneration(AnswerText(*tokenizer_, std::move(stop)), stream_);
  }
  // One token a byte.
  void Deliver(std::string_view bytes) {
    for (const char byte : bytes) DeliverToken(static_cast<unsigned char>(byte), std::nullopt);
  }
  void DeliverToken(std::optional<TokenId> token, std::optional<FinishReason> finish) {
    if (token) sequence_.tokens.push_back(*token);
    stream_->Deliver(token, finish, sequence_);
  }

  TinyVocabulary vocabulary_;
  TokenId eos_ = 0;
  TokenId plain_eos_ = 0;
  std::unique_ptr<Tokenizer> tokenizer_;
  CancelToken cancel_;
  std::shared_ptr<TokenStream> stream_ = std::make_shared<TokenStream>(cancel_);
  Sequence sequence_;
};

TEST_F(TextGenerationTest, Characters_ComeWhole) {
  TextGeneration generation = Generation();
  Deliver("a\xc3");
  EXPECT_EQ(generation.Take(), "a");
  Deliver("\xa9");
  EXPECT_EQ(generation.Take(), "é");
  EXPECT_EQ(generation.Take(), "");
  EXPECT_EQ(generation.num_completion_tokens(), 3);
  EXPECT_EQ(generation.finish(), std::nullopt);
}

TEST_F(TextGenerationTest, Eos_CountsButIsNoText) {
  for (const TokenId eos : {eos_, plain_eos_}) {
    stream_ = std::make_shared<TokenStream>(cancel_);
    TextGeneration generation = Generation();
    Deliver("ab");
    DeliverToken(eos, FinishReason::kStop);
    EXPECT_EQ(generation.Take(), "ab");
    EXPECT_EQ(generation.finish(), FinishReason::kStop);
    EXPECT_EQ(generation.num_completion_tokens(), 3);
  }
}

TEST_F(TextGenerationTest, IgnoredEosInTheMiddle_CountsAndTheAnswerGoesOn) {
  TextGeneration generation = Generation();
  Deliver("a");
  DeliverToken(eos_, std::nullopt);
  DeliverToken('b', FinishReason::kLength);
  EXPECT_EQ(generation.Take(), "ab");
  EXPECT_EQ(generation.num_completion_tokens(), 3);
  EXPECT_EQ(generation.finish(), FinishReason::kLength);
}

TEST_F(TextGenerationTest, Length_GivesWhatWasHeldBack) {
  TextGeneration generation = Generation({"xyz"});
  Deliver("axy");
  EXPECT_EQ(generation.Take(), "a");
  DeliverToken(0xc3, FinishReason::kLength);
  EXPECT_EQ(generation.Take(), "xy\xEF\xBF\xBD");
  EXPECT_EQ(generation.finish(), FinishReason::kLength);
}

TEST_F(TextGenerationTest, StopString_EndsTheTextCancelsAndCountsItsLastToken) {
  TextGeneration generation = Generation({"END"});
  Deliver("abENDcd");
  EXPECT_FALSE(cancel_.IsCancelled());
  EXPECT_EQ(generation.Take(), "ab");
  EXPECT_TRUE(cancel_.IsCancelled());
  EXPECT_EQ(generation.finish(), FinishReason::kStop);
  EXPECT_EQ(generation.num_completion_tokens(), 5);

  DeliverToken(std::nullopt, FinishReason::kCancelled);
  EXPECT_EQ(generation.Take(), "");
  EXPECT_EQ(generation.finish(), FinishReason::kStop);
}

TEST_F(TextGenerationTest, StopStringOverSeveralTakes_IsNeverDeliveredInPart) {
  TextGeneration generation = Generation({"END"});
  std::string text;
  for (const char byte : std::string_view("aEENENDz")) {
    Deliver(std::string_view(&byte, 1));
    text += generation.Take();
  }
  EXPECT_EQ(text, "aEEN");
  EXPECT_EQ(generation.num_completion_tokens(), 7);
}

TEST_F(TextGenerationTest, StopStringWithTheLastToken_WinsOverLength) {
  TextGeneration generation = Generation({"b"});
  Deliver("a");
  DeliverToken('b', FinishReason::kLength);
  EXPECT_EQ(generation.Take(), "a");
  EXPECT_EQ(generation.finish(), FinishReason::kStop);
}

TEST_F(TextGenerationTest, TokensOfATake_AreThoseOfTheAnswer) {
  TextGeneration generation = Generation({"END"});
  Deliver("aE");
  generation.Take();
  EXPECT_THAT(generation.tokens(), ElementsAre('a', 'E'));
  generation.Take();
  EXPECT_THAT(generation.tokens(), IsEmpty());
  Deliver("NDcd");
  generation.Take();
  EXPECT_THAT(generation.tokens(), ElementsAre('N', 'D'));
}

TEST_F(TextGenerationTest, ContinuedTokens_CountForTheAnswerAndNotAsGeneratedHere) {
  AnswerText text(*tokenizer_, {});
  ASSERT_TRUE(text.Continue(std::vector<TokenId>{'a', 'b'}, 1));
  TextGeneration generation(std::move(text), stream_);
  EXPECT_EQ(generation.Take(), "b");
  EXPECT_THAT(generation.tokens(), IsEmpty());
  DeliverToken('c', FinishReason::kLength);
  EXPECT_EQ(generation.Take(), "c");
  EXPECT_THAT(generation.tokens(), ElementsAre('c'));
  EXPECT_EQ(generation.num_completion_tokens(), 3);
  EXPECT_EQ(generation.num_generated_here(), 1);
}

TEST_F(TextGenerationTest, AnswerThatWasComplete_EndsAsItDid) {
  for (const FinishReason reason : {FinishReason::kStop, FinishReason::kLength}) {
    AnswerText text(*tokenizer_, {"xyz"});
    ASSERT_TRUE(text.Continue(std::vector<TokenId>{'a', 'x'}, 1));
    TextGeneration generation(std::move(text), TokenStream::MakeEnded(reason, 7));
    EXPECT_EQ(generation.Take(), "x");
    EXPECT_EQ(generation.finish(), reason);
    EXPECT_EQ(generation.num_prompt_tokens(), 7);
    EXPECT_EQ(generation.num_completion_tokens(), 2);
  }
}

TEST_F(TextGenerationTest, Failure_CarriesItsReason) {
  TextGeneration generation = Generation();
  stream_->Fail(FinishReason::kError, "no memory");
  EXPECT_EQ(generation.Take(), "");
  EXPECT_EQ(generation.finish(), FinishReason::kError);
  EXPECT_EQ(generation.error(), "no memory");
}

TEST_F(TextGenerationTest, NumbersOfThePrompt_ComeFromTheEngine) {
  TextGeneration generation = Generation();
  sequence_.num_prompt_tokens = 7;
  sequence_.num_cached_tokens = 4;
  sequence_.times.first_token = TimePoint(std::chrono::seconds(1));
  Deliver("a");
  EXPECT_EQ(generation.Take(), "a");
  EXPECT_EQ(generation.num_prompt_tokens(), 7);
  EXPECT_EQ(generation.num_cached_tokens(), 4);
  EXPECT_EQ(generation.times().first_token, sequence_.times.first_token);
}

}  // namespace
}  // namespace autoglm
