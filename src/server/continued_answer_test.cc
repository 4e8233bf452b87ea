#include "server/continued_answer.h"

#include <gtest/gtest.h>

#include <utility>

#include "support/tiny_vocabulary.h"

namespace autoglm {
namespace {

class ContinuedAnswerTest : public ::testing::Test {
 protected:
  ContinuedAnswerTest() {
    eos_ = vocabulary_.AddToken("<|end|>", TokenType::kControl);
    vocabulary_.eos = {eos_};
    tokenizer_ = vocabulary_.Build();
    sampling_.max_tokens = 6;
  }

  Result<ContinuedAnswer> Continue(std::vector<TokenId> tokens, std::optional<int64_t> num_prompt_tokens = {}) const {
    Continuation continuation;
    continuation.origin.num_prompt_tokens = num_prompt_tokens;
    continuation.token_ids = std::move(tokens);
    return ContinueAnswer(
        continuation,
        {.tokenizer = *tokenizer_, .sampling = sampling_, .num_prompt_tokens = num_prompt_tokens_, .context_length = 100});
  }
  std::optional<FinishReason> FinishOf(std::vector<TokenId> tokens) const { return Continue(std::move(tokens)).value().finish; }
  std::string ParamOf(std::vector<TokenId> tokens, std::optional<int64_t> num_prompt_tokens = {}) const {
    const Result<ContinuedAnswer> answer = Continue(std::move(tokens), num_prompt_tokens);
    return answer ? "" : answer.error().param;
  }

  TinyVocabulary vocabulary_;
  TokenId eos_ = 0;
  std::unique_ptr<Tokenizer> tokenizer_;
  SamplingParams sampling_;
  int64_t num_prompt_tokens_ = 10;
};

TEST_F(ContinuedAnswerTest, UnfinishedAnswer_GoesOn) {
  const ContinuedAnswer answer = Continue({'a', 'b'}).value();
  EXPECT_EQ(answer.finish, std::nullopt);
  EXPECT_EQ(answer.tokens, (std::vector<TokenId>{'a', 'b'}));
  EXPECT_EQ(answer.text.num_tokens(), 2);
  EXPECT_EQ(FinishOf({}), std::nullopt);
}

TEST_F(ContinuedAnswerTest, WhateverEndsAnAnswer_EndsItAtOnce) {
  EXPECT_EQ(FinishOf({'a', eos_}), FinishReason::kStop);
  EXPECT_EQ(FinishOf({'a', 'b', 'c', 'd', 'e', 'f'}), FinishReason::kLength);
  num_prompt_tokens_ = 98;
  EXPECT_EQ(FinishOf({'a', 'b'}), FinishReason::kLength);
  sampling_.stop = {"b"};
  EXPECT_EQ(FinishOf({'a', 'b'}), FinishReason::kStop);
}

TEST_F(ContinuedAnswerTest, TheTokenThatEndsAnAnswer_IsNoPartOfIt) {
  const ContinuedAnswer answer = Continue({'a', eos_}).value();
  EXPECT_EQ(answer.tokens, std::vector<TokenId>{'a'});
  EXPECT_EQ(answer.text.num_tokens(), 1);
}

TEST_F(ContinuedAnswerTest, IgnoredEos_IsATokenLikeAnyOther) {
  EXPECT_EQ(ParamOf({eos_, 'a'}), "autoglm_continue.token_ids");
  sampling_.ignore_eos = true;
  EXPECT_EQ(ParamOf({eos_, 'a'}), "");
  EXPECT_EQ(FinishOf({'a', eos_}), std::nullopt);
  EXPECT_EQ(Continue({'a', eos_})->tokens.size(), 2u);
}

TEST_F(ContinuedAnswerTest, TokensThatCannotBe_AreRefused) {
  const auto vocab_size = static_cast<TokenId>(tokenizer_->vocab_size());
  EXPECT_EQ(ParamOf({'a', vocab_size - 2}), "");
  EXPECT_EQ(ParamOf({'a', vocab_size}), "autoglm_continue.token_ids");
  EXPECT_EQ(ParamOf({'a', -1}), "autoglm_continue.token_ids");
  EXPECT_EQ(ParamOf(std::vector<TokenId>(7, 'a')), "autoglm_continue.token_ids");
  num_prompt_tokens_ = 98;
  EXPECT_EQ(ParamOf(std::vector<TokenId>(3, 'a')), "autoglm_continue.token_ids");
}

TEST_F(ContinuedAnswerTest, AnotherPromptThanTheOneThatWasAnswered_IsRefused) {
  EXPECT_EQ(ParamOf({'a'}, 10), "");
  EXPECT_EQ(ParamOf({'a'}, 11), "autoglm_continue.prompt_tokens");
}

// It is refused as a request like any other, by the engine.
TEST_F(ContinuedAnswerTest, PromptWithoutRoomForAnAnswer_IsNotComplete) {
  num_prompt_tokens_ = 100;
  EXPECT_EQ(FinishOf({}), std::nullopt);
  EXPECT_EQ(ParamOf({'a'}), "autoglm_continue.token_ids");
}

}  // namespace
}  // namespace autoglm
