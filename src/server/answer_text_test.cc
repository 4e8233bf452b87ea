#include "server/answer_text.h"

#include <gtest/gtest.h>

#include "support/tiny_vocabulary.h"

namespace autoglm {
namespace {

class AnswerTextTest : public ::testing::Test {
 protected:
  AnswerText Text(std::vector<std::string> stop = {}) const { return AnswerText(*tokenizer_, std::move(stop)); }
  // One token a byte.
  static std::vector<TokenId> Tokens(std::string_view bytes) {
    std::vector<TokenId> tokens;
    for (const char byte : bytes) tokens.push_back(static_cast<unsigned char>(byte));
    return tokens;
  }
  static std::string Push(AnswerText& text, std::string_view bytes) {
    for (const TokenId token : Tokens(bytes)) {
      if (text.is_stopped()) break;
      text.Push(token);
    }
    return text.Take();
  }
  static std::string Rest(AnswerText& text, std::string_view bytes) {
    std::string rest = Push(text, bytes);
    if (!text.is_stopped()) text.End();
    return rest + text.Take();
  }
  static std::string ParamOf(AnswerText text, std::string_view bytes, int64_t num_bytes) {
    const Status status = text.Continue(Tokens(bytes), num_bytes);
    return status ? "" : status.error().param;
  }

  TinyVocabulary vocabulary_;
  std::unique_ptr<Tokenizer> tokenizer_ = vocabulary_.Build();
};

TEST_F(AnswerTextTest, Pieces_AreWholeCharactersWithoutStopStrings) {
  AnswerText text = Text({"END"});
  EXPECT_EQ(Push(text, "a\xc3"), "a");
  EXPECT_EQ(Push(text,
                 "\xa9"
                 "E"),
            "é");
  EXPECT_EQ(Push(text, "NxEND!"), "ENx");
  EXPECT_TRUE(text.is_stopped());
  EXPECT_EQ(text.num_tokens(), 9);
}

TEST_F(AnswerTextTest, End_GivesWhatWasHeldBack) {
  AnswerText text = Text({"xyz"});
  EXPECT_EQ(Push(text, "axy"), "a");
  EXPECT_TRUE(text.End());
  EXPECT_EQ(text.Take(), "xy");
}

// Wherever the answer is cut, and however much of the text that the tokens gave has reached the client.
TEST_F(AnswerTextTest, Continued_BothPartsAreTheWholeText) {
  const std::string bytes = "Grüße, 😀! EEN \xf0\x9f ENDless";
  for (const std::vector<std::string>& stop : {std::vector<std::string>{}, {"END"}, {"nothing of it", "N E"}}) {
    AnswerText whole = Text(stop);
    const std::string expected = Rest(whole, bytes);
    for (size_t cut = 0; cut <= static_cast<size_t>(whole.num_tokens()); ++cut) {
      AnswerText before = Text(stop);
      const std::string released = Push(before, std::string_view(bytes).substr(0, cut));
      for (size_t num_bytes = 0; num_bytes <= released.size(); ++num_bytes) {
        AnswerText after = Text(stop);
        if (!after.Continue(Tokens(bytes.substr(0, cut)), static_cast<int64_t>(num_bytes))) continue;  // inside a character
        EXPECT_EQ(released.substr(0, num_bytes) + Rest(after, std::string_view(bytes).substr(cut)), expected) << cut;
        EXPECT_EQ(after.num_tokens(), whole.num_tokens());
        EXPECT_EQ(after.num_continued_tokens(), static_cast<int64_t>(cut));
      }
    }
  }
}

TEST_F(AnswerTextTest, Continued_GivesAtOnceWhatTheClientLacks) {
  AnswerText text = Text();
  ASSERT_TRUE(text.Continue(Tokens("abc"), 1));
  EXPECT_EQ(text.Take(), "bc");
  EXPECT_EQ(text.Take(), "");
}

TEST_F(AnswerTextTest, ContinuedBehindTheEndOfItsText_RepeatsNothing) {
  AnswerText text = Text({"xyz"});
  ASSERT_TRUE(text.Continue(Tokens("axy\xc3"), 6));
  EXPECT_EQ(text.Take(), "");
  EXPECT_TRUE(text.End());
  EXPECT_EQ(text.Take(), "");
}

TEST_F(AnswerTextTest, ContinuedWithAWholeStopString_IsStopped) {
  AnswerText text = Text({"END"});
  ASSERT_TRUE(text.Continue(Tokens("abEND"), 1));
  EXPECT_TRUE(text.is_stopped());
  EXPECT_EQ(text.Take(), "b");
  EXPECT_FALSE(text.End());
}

TEST_F(AnswerTextTest, WhatNoServerCanHaveGiven_IsRefused) {
  EXPECT_EQ(ParamOf(Text({"END"}), "abENDx", 0), "autoglm_continue.token_ids");
  EXPECT_EQ(ParamOf(Text(), "abc", 3), "");
  EXPECT_EQ(ParamOf(Text(), "abc", 4), "autoglm_continue.text_bytes");
  EXPECT_EQ(ParamOf(Text(), "a\xc3\xa9", 3), "");
  EXPECT_EQ(ParamOf(Text(), "a\xc3\xa9", 2), "autoglm_continue.text_bytes");
}

}  // namespace
}  // namespace autoglm
