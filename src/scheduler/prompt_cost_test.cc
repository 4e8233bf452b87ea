#include "scheduler/prompt_cost.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

// A machine that needs a millisecond a token and a microsecond a pair.
constexpr double kPerToken = 1e-3;
constexpr double kPerPair = 1e-6;

PromptWork Work(int64_t context, int64_t num_tokens) {
  PromptWork work;
  work.Add(context, num_tokens);
  return work;
}
double MachineSeconds(const PromptWork& work, double slower = 1) {
  return slower * (kPerToken * work.tokens + kPerPair * work.pairs);
}

// A prompt of `length` tokens, 100 a step.
void ObservePrompt(PromptCost& cost, int64_t length, double slower = 1) {
  for (int64_t context = 0; context < length; context += 100) {
    cost.Observe(Work(context, 100), MachineSeconds(Work(context, 100), slower));
  }
}

TEST(PromptCost, KnowsNothing_AllowsEverything) {
  const PromptCost cost;
  EXPECT_FALSE(cost.is_known());
  EXPECT_EQ(cost.TokensWithin(0.001, 0, 512), 512);
  EXPECT_EQ(cost.Seconds(0, 512), 0);
}

TEST(PromptCost, OneStep_IsEnoughForItsLike) {
  PromptCost cost;
  cost.Observe(Work(0, 100), 0.1);
  EXPECT_NEAR(cost.Seconds(0, 50), 0.05, 1e-9);
  EXPECT_EQ(cost.TokensWithin(0.0501, 0, 512), 50);
  EXPECT_EQ(cost.TokensWithin(10, 0, 512), 512);
  EXPECT_EQ(cost.TokensWithin(0, 0, 512), 0);
  EXPECT_EQ(cost.TokensWithin(-1, 0, 512), 0);
}

TEST(PromptCost, LearnsWhatContextCosts) {
  PromptCost cost;
  ObservePrompt(cost, 4000);
  EXPECT_NEAR(cost.Seconds(8000, 100), MachineSeconds(Work(8000, 100)), 0.1 * MachineSeconds(Work(8000, 100)));
  EXPECT_NEAR(cost.Seconds(0, 100), MachineSeconds(Work(0, 100)), 0.2 * MachineSeconds(Work(0, 100)));
}

TEST(PromptCost, TokensWithin_AndSecondsAgree) {
  PromptCost cost;
  ObservePrompt(cost, 4000);
  for (const int64_t context : {0, 1000, 20000}) {
    const int64_t count = cost.TokensWithin(0.05, context, 512);
    EXPECT_GT(count, 0);
    EXPECT_LE(cost.Seconds(context, count), 0.05);
    EXPECT_GT(cost.Seconds(context, count + 1), 0.05);
  }
}

TEST(PromptCost, FollowsAMachineThatSlowsDown) {
  PromptCost cost;
  ObservePrompt(cost, 4000);
  ObservePrompt(cost, 4000, 2);
  EXPECT_NEAR(cost.Seconds(2000, 100), MachineSeconds(Work(2000, 100), 2), 0.2 * MachineSeconds(Work(2000, 100), 2));
}

TEST(PromptCost, OneStrayStep_ChangesLittle) {
  PromptCost cost;
  ObservePrompt(cost, 4000);
  const double before = cost.Seconds(2000, 100);
  cost.Observe(Work(2000, 100), 100 * before);
  EXPECT_LT(cost.Seconds(2000, 100), 1.4 * before);
}

TEST(PromptCost, NeverGivesNegativeTimes) {
  PromptCost cost;
  for (int i = 0; i < 50; ++i) {  // the deeper the faster: no line of that kind is believed
    cost.Observe(Work(0, 100), 0.2);
    cost.Observe(Work(5000, 100), 0.1);
  }
  EXPECT_GT(cost.Seconds(50000, 1), 0);
  EXPECT_GT(cost.Seconds(0, 1), 0);
}

}  // namespace
}  // namespace autoglm
