#include "server/public_prefixes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "support/tiny_vocabulary.h"

namespace autoglm {
namespace {

using ::testing::HasSubstr;

constexpr const char* kTurns = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}";
// As Gemma's: what the system says stands in the first question, and there must be one.
constexpr const char* kMerging =
    "{% if messages[-1]['role'] != 'user' %}{{ raise_exception('no question') }}{% endif %}"
    "<user>{{ messages[0]['content'] }}\n\n{{ messages[-1]['content'] }}";
constexpr const char* kNoQuestions =
    "{% if messages[-1]['role'] == 'user' %}{{ raise_exception('no questions here') }}{% endif %}{{ messages[0]['content'] "
    "}}<end>";

// A token is a byte.
class PublicPrefixesTest : public ::testing::Test {
 protected:
  void Use(const char* chat_template) {
    template_ = ChatTemplate::Parse(chat_template).value();
    encoder_ = std::make_unique<PromptEncoder>(*tokenizer_, template_.get(), 1000);
  }
  static PublicPrefix System(const std::string& content) {
    return {.messages = Json::array({{{"role", "system"}, {"content", content}}})};
  }
  int64_t NumPublic(std::string_view prompt) {
    return prefixes_.NumPublicTokens(encoder_->EncodeCompletion(std::string(prompt)).value());
  }

  TinyVocabulary vocabulary_;
  std::unique_ptr<Tokenizer> tokenizer_ = vocabulary_.Build();
  std::unique_ptr<ChatTemplate> template_;
  std::unique_ptr<PromptEncoder> encoder_;
  PublicPrefixes prefixes_;
};

TEST_F(PublicPrefixesTest, NothingDeclared_NothingIsPublic) {
  Use(kTurns);
  EXPECT_EQ(NumPublic("abc"), 0);
}

TEST_F(PublicPrefixesTest, LongestCommonBeginningCounts) {
  Use(kTurns);
  for (const char* prompt : {"Once upon a time", "Once upon", "Twice"}) {
    ASSERT_TRUE(prefixes_.Add({.prompt = prompt}, *encoder_));
  }
  EXPECT_EQ(NumPublic("Once upon a time there was"), 16);
  EXPECT_EQ(NumPublic("Once upon the"), 10) << "as far as the longer one goes";
  EXPECT_EQ(NumPublic("Tw"), 2);
  EXPECT_EQ(NumPublic("once"), 0);
}

TEST_F(PublicPrefixesTest, Messages_ArePublicUpToWhatFollows) {
  Use(kTurns);
  ASSERT_TRUE(prefixes_.Add(System("Be kind."), *encoder_));
  EXPECT_EQ(NumPublic("<system>Be kind.<user>A secret"), 22);
  EXPECT_EQ(NumPublic("<system>Be kind. To nobody<user>"), 16);
}

TEST_F(PublicPrefixesTest, TemplateThatMergesSystemAndQuestion_IsTried) {
  Use(kMerging);
  ASSERT_TRUE(prefixes_.Add(System("Be kind."), *encoder_));
  EXPECT_EQ(NumPublic("<user>Be kind.\n\nA secret"), 16);
}

TEST_F(PublicPrefixesTest, TemplateThatTakesNothingBehind_RendersItAlone) {
  Use(kNoQuestions);
  ASSERT_TRUE(prefixes_.Add(System("Be kind."), *encoder_));
  EXPECT_EQ(NumPublic("Be kind.<end>"), 13);
}

TEST_F(PublicPrefixesTest, WhatTheModelCannotSay_IsAnError_AndNothingIsPublic) {
  encoder_ = std::make_unique<PromptEncoder>(*tokenizer_, nullptr, 10);
  EXPECT_THAT(prefixes_.Add(System("Be kind."), *encoder_).error().message, HasSubstr("no chat template"));
  EXPECT_EQ(prefixes_.Add({.prompt = std::string(100000, 'a')}, *encoder_).error().code, ErrorCode::kContextLengthExceeded);
  EXPECT_EQ(NumPublic("aaa"), 0);
}

TEST_F(PublicPrefixesTest, Check_NamesWhatIsWrong) {
  EXPECT_TRUE(CheckPublicPrefix(System("Be kind.")));
  EXPECT_TRUE(CheckPublicPrefix({.prompt = "Once"}));
  EXPECT_THAT(CheckPublicPrefix({}).error().message, HasSubstr("empty"));
  EXPECT_THAT(CheckPublicPrefix({.messages = Json::array()}).error().message, HasSubstr("messages"));
  const Json wizard = Json::array({{{"role", "wizard"}, {"content", "x"}}});
  EXPECT_THAT(CheckPublicPrefix({.messages = wizard}).error().message, HasSubstr("messages[0].role"));
}

}  // namespace
}  // namespace autoglm
