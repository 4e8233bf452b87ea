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

}  // namespace
}  // namespace autoglm
