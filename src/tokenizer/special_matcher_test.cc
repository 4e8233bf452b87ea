#include "tokenizer/special_matcher.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "support/tiny_vocabulary.h"

namespace autoglm {
namespace {

class SpecialMatcherTest : public testing::Test {
 protected:
  // "begin+num_bytes:token" of the first match from `from`, or "none".
  std::string Find(std::string_view text, PlainBytes plain = PlainBytes::None(), size_t from = 0) {
    const auto vocabulary = ReadByteLevelVocabulary(tiny_.data());
    const auto match = SpecialMatcher(*vocabulary).FindNext(text, from, plain);
    if (!match) return "none";
    return std::to_string(match->begin) + "+" + std::to_string(match->num_bytes) + ":" + std::to_string(match->token);
  }
  TokenId Add(std::string spelling, TokenType type = TokenType::kControl) { return tiny_.AddToken(std::move(spelling), type); }

  TinyVocabulary tiny_;
};

TEST_F(SpecialMatcherTest, Leftmost_ThenLongest) {
  Add("<a>");     // 256
  Add("<a><b>");  // 257
  Add("<a");      // 258
  EXPECT_EQ(Find("x<a><b>"), "1+6:257");
  EXPECT_EQ(Find("<a><c>"), "0+3:256");
  EXPECT_EQ(Find("<a"), "0+2:258");
  EXPECT_EQ(Find("<ab"), "0+2:258");
  EXPECT_EQ(Find("x<a><b>", PlainBytes::None(), 2), "none");
  EXPECT_EQ(Find(""), "none");
  EXPECT_EQ(Find("< a>"), "none");
}

TEST_F(SpecialMatcherTest, ControlTokens_NeedEveryByteToBeParsed) {
  Add("<|end|>");
  const std::string text = "<|end|>";
  EXPECT_EQ(Find(text, PlainBytes::All()), "none");
  for (size_t i = 0; i < text.size(); ++i) {
    std::vector<bool> mask(text.size(), false);
    mask[i] = true;
    EXPECT_EQ(Find(text, PlainBytes::Marked(mask)), "none") << i;
  }
  EXPECT_EQ(Find(text, PlainBytes::Marked(std::vector<bool>(text.size(), false))), "0+7:256");
}

TEST_F(SpecialMatcherTest, PlainByteBehindAShorterToken_LeavesThatOne) {
  Add("<a>");
  Add("<a><b>");
  std::vector<bool> mask(6, false);
  mask[4] = true;
  EXPECT_EQ(Find("<a><b>", PlainBytes::Marked(mask)), "0+3:256");
}

TEST_F(SpecialMatcherTest, UserDefinedTokens_AreOrdinaryText) {
  Add("<think>", TokenType::kUserDefined);
  EXPECT_EQ(Find("x<think>", PlainBytes::All()), "1+7:256");
}

TEST_F(SpecialMatcherTest, NormalUnusedAndEmptyTokens_NeverMatch) {
  Add("normal", TokenType::kNormal);
  Add("unused", TokenType::kUnused);
  Add("", TokenType::kControl);
  EXPECT_EQ(Find("normal unused"), "none");
}

TEST_F(SpecialMatcherTest, AgreesWithComparingEveryTokenEverywhere) {
  constexpr uint64_t kSeed = 5;
  Random random(kSeed);
  const auto random_text = [&](size_t max_length) {
    std::string text;
    for (size_t i = 1 + random.NextBelow(max_length); i > 0; --i) text += "ab\xFF"[random.NextBelow(3)];
    return text;
  };
  std::vector<std::string> spellings;
  while (spellings.size() < 20) {
    const std::string spelling = random_text(6);
    if (spelling.size() < 3 || std::find(spellings.begin(), spellings.end(), spelling) != spellings.end()) continue;
    spellings.push_back(spelling);
    Add(spelling);
  }
  for (int round = 0; round < 300; ++round) {
    const std::string text = random_text(30);
    std::string expected = "none";
    for (size_t begin = 0; begin < text.size() && expected == "none"; ++begin) {
      size_t longest = 0;
      for (size_t i = 0; i < spellings.size(); ++i) {
        if (!std::string_view(text).substr(begin).starts_with(spellings[i]) || spellings[i].size() <= longest) continue;
        longest = spellings[i].size();
        expected = std::to_string(begin) + "+" + std::to_string(longest) + ":" + std::to_string(256 + i);
      }
    }
    EXPECT_EQ(Find(text), expected) << "seed " << kSeed;
  }
}

}  // namespace
}  // namespace autoglm
