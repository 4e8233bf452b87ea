#include "tokenizer/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace autoglm {
namespace {

using testing::ElementsAre;

std::vector<std::string> Matches(std::string_view pattern, std::string_view text,
                                 Regex::Effort effort = Regex::Effort::kUnbounded) {
  const auto regex = Regex::Compile(pattern, effort);
  EXPECT_TRUE(regex) << pattern;
  std::vector<std::string> matches;
  RegexSearch search(*regex, text);
  while (const auto match = search.Next()) matches.emplace_back(text.substr(match->begin, match->end - match->begin));
  return matches;
}

TEST(Regex, ClassesAreOnigurumas) {
  EXPECT_THAT(Matches(R"(\s+)", "a\u00a0\u0085b\u180ec"), ElementsAre("\u00a0\u0085"));
  EXPECT_THAT(Matches(R"([^\s]+)", "a\u180eb c"), ElementsAre("a\u180eb", "c"));
  EXPECT_THAT(Matches(R"(\S+)", "a\u180eb c"), ElementsAre("a\u180eb", "c"));
  EXPECT_THAT(Matches(R"(\w+)", "e\u0301_1½x"), ElementsAre("e\u0301_1", "x"));
  EXPECT_THAT(Matches(R"([\w.]+)", "a.b-c"), ElementsAre("a.b", "c"));
}

TEST(Regex, EmptyMatches_AreNone) { EXPECT_THAT(Matches("a*", "baab"), ElementsAre("aa")); }

TEST(Regex, WhatMeansSomethingElseInPcre_IsRefused) {
  for (const char* const pattern : {R"(\h)", R"([\S])", "[a[b]]", "[a&&b]", R"(\C)", "(", "a{2,1}"}) {
    const auto regex = Regex::Compile(pattern, Regex::Effort::kBounded);
    ASSERT_FALSE(regex) << pattern;
    EXPECT_EQ(regex.error().code, ErrorCode::kUnsupported);
  }
}

TEST(Regex, MatchThatTakesTooManySteps_CountsAsNone) {
  EXPECT_THAT(Matches("(a+)+$", std::string(5000, 'a') + "b", Regex::Effort::kBounded), ElementsAre());
}

// At every place the pattern reads on to the end of the text in vain: that often it would take minutes.
TEST(Regex, ManyMatchesThatTakeManySteps_EndTogether) {
  const std::string text(300'000, 'a');
  const size_t num_matches = Matches("(?:(?:a|b)*c|.)", text, Regex::Effort::kBounded).size();
  EXPECT_GT(num_matches, 0U);
  EXPECT_LT(num_matches, text.size() / 10);
}

TEST(Regex, PatternThatReadsToTheEndEverywhere_TakesNoQuadraticTime) {
  const std::string text(300'000, 'a');
  EXPECT_EQ(Matches("(?:[ab]*+c|.)", text, Regex::Effort::kBounded).size(), text.size());
}

TEST(Regex, LongMatches_AndThoseFarAway_AreFoundWhole) {
  const std::string far = std::string(100'000, 'b') + std::string(100'000, 'a') + "é";
  EXPECT_THAT(Matches("a+|é", far, Regex::Effort::kBounded), ElementsAre(std::string(100'000, 'a'), "é"));
  EXPECT_THAT(Matches("é+$", std::string(10'001, 'a') + std::string(10'000, '\n') + far, Regex::Effort::kBounded),
              ElementsAre("é"));
}

TEST(Regex, BoundedEffort_IsEnoughForThePatternsInUse) {
  constexpr auto kPattern =
      R"([^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}{1,3}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "the " + std::to_string(i) + "  x,\n";
  text += std::string(100'000, ' ') + std::string(100'000, 'x') + std::string(100'000, '\n');
  EXPECT_EQ(Matches(kPattern, text, Regex::Effort::kBounded), Matches(kPattern, text, Regex::Effort::kUnbounded));
}

}  // namespace
}  // namespace autoglm
