#include "scheduler/speculation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/random.h"

namespace autoglm {
namespace {

using testing::ElementsAre;
using Tokens = std::vector<TokenId>;

Tokens DraftOf(const Tokens& tokens, int64_t count) {
  PromptLookup lookup;
  const PromptLookup::Match match = lookup.Find(tokens);
  Tokens draft;
  if (match.found()) PromptLookup::Draft(tokens, match.next, count, draft);
  return draft;
}

TEST(PromptLookup, GoesOnAsBefore) {
  EXPECT_THAT(DraftOf({1, 2, 3, 4, 5, 9, 1, 2, 3}, 3), ElementsAre(4, 5, 9));
  EXPECT_THAT(DraftOf({1, 2, 3, 4, 5}, 3), ElementsAre());
  EXPECT_THAT(DraftOf({}, 3), ElementsAre());
  EXPECT_THAT(DraftOf({7}, 3), ElementsAre());
}

TEST(PromptLookup, PrefersTheLongestMatchThenTheLast) {
  // "2 3" stood twice; behind "1 2 3" came 4, behind the later "8 2 3" came 5.
  EXPECT_THAT(DraftOf({1, 2, 3, 4, 8, 2, 3, 5, 1, 2, 3}, 1), ElementsAre(4));
  EXPECT_THAT(DraftOf({1, 2, 3, 4, 8, 2, 3, 5, 6, 2, 3}, 1), ElementsAre(5));
}

TEST(PromptLookup, ALoopGoesOn) { EXPECT_THAT(DraftOf({5, 1, 2, 1, 2}, 5), ElementsAre(1, 2, 1, 2, 1)); }

TEST(PromptLookup, FindsWhatAPlainSearchFinds) {
  Random random(1);
  PromptLookup lookup;
  Tokens tokens;
  for (int step = 0; step < 5000; ++step) {
    const auto grown = static_cast<int64_t>(step == 0 ? 3000 : 1 + random.NextBelow(3));
    for (int64_t i = 0; i < grown; ++i) tokens.push_back(static_cast<TokenId>(random.NextBelow(12)));
    const PromptLookup::Match match = lookup.Find(tokens);
    if (step % 50 != 0) continue;
    for (int index = 0; index < PromptLookup::kNumLengths; ++index) {
      const int64_t length = PromptLookup::kLengths[index];
      int64_t next = std::ssize(tokens) - 1;
      while (next >= length && !std::equal(tokens.end() - length, tokens.end(), tokens.begin() + (next - length))) --next;
      if (next < length) continue;
      ASSERT_EQ(match.length_index, index);
      ASSERT_EQ(match.next, next);
      break;
    }
  }
}

TEST(DecodeCost, LearnsWhatADraftCosts) {
  DecodeCost cost;
  EXPECT_DOUBLE_EQ(cost.TokensPerDraft(1), 0.125);
  EXPECT_DOUBLE_EQ(cost.TokensPerDraft(8), 1.0);
  for (int i = 0; i < 200; ++i) {
    cost.Observe(1, 0, 0.004);
    cost.Observe(1, 5, 0.005);
  }
  EXPECT_NEAR(cost.TokensPerDraft(1), 0.05, 0.001);
  cost.Observe(8, 0, 0.008);
  EXPECT_NEAR(cost.TokensPerDraft(8), 0.2, 0.001);  // 0.2 ms each, where a token of eight streams takes 1 ms
}

TEST(Speculator, StopsWhereDraftsAreWrongAndComesBack) {
  AcceptanceRates shared = {0.7, 0.5, 0.3};
  Speculator speculator(shared);
  Tokens tokens = {1, 2, 3, 4};
  int64_t num_drafted = 0;
  int last_draft = 0;
  for (int step = 0; step < 2000; ++step) {
    for (const TokenId token : {1, 2, 3, 4}) tokens.push_back(token);
    speculator.Draft(tokens, 100, 0.125);
    num_drafted += std::ssize(speculator.draft());
    if (!speculator.draft().empty()) last_draft = step;
    EXPECT_LE(std::ssize(speculator.draft()), kMaxDraftTokens);
    speculator.Learn(0, shared);
  }
  EXPECT_LT(num_drafted, 150);
  EXPECT_GT(last_draft, 1800) << "it must go on trying, seldom";
  for (int step = 0; step < 400; ++step) {
    tokens.push_back(tokens[tokens.size() - 4]);
    speculator.Draft(tokens, 100, 0.125);
    speculator.Learn(std::ssize(speculator.draft()), shared);
  }
  speculator.Draft(tokens, 100, 0.125);
  EXPECT_EQ(std::ssize(speculator.draft()), kMaxDraftTokens);
  speculator.Draft(tokens, 3, 0.125);
  EXPECT_EQ(std::ssize(speculator.draft()), 3);
}

TEST(Speculator, DearTokensAreNotDrafted) {
  Speculator speculator({0.7, 0.5, 0.3});
  speculator.Draft(Tokens{1, 2, 3, 4, 5, 1, 2, 3, 4}, 8, 0.8);
  EXPECT_TRUE(speculator.draft().empty());
}

}  // namespace
}  // namespace autoglm
