#include "server/degradation.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

const DegradationOptions kSteps{.cap_from = 0.5,
                                .cap_tokens = 100,
                                .one_choice_from = 0.6,
                                .smaller_model_from = 0.7,
                                .smaller_model = "small",
                                .refuse_from = 0.9};

Urgency Hurry(int64_t target_s, int64_t priority) {
  return {.target = std::chrono::seconds(target_s), .standard_target = std::chrono::seconds(10), .priority = priority};
}

std::vector<std::string> Taken(double pressure, Degradable asked) { return Degrade(kSteps, pressure, asked); }

TEST(Degradation, StepsAreTakenOneAfterTheOther) {
  EXPECT_TRUE(Taken(0.49, {.max_tokens = 1000, .num_choices = 4}).empty());
  EXPECT_EQ(Taken(0.5, {.max_tokens = 1000, .num_choices = 4}), std::vector<std::string>{"max_tokens"});
  EXPECT_EQ(Taken(0.6, {.max_tokens = 1000, .num_choices = 4}), (std::vector<std::string>{"max_tokens", "n"}));
}

TEST(Degradation, WhoAsksForLittle_LosesNothing) { EXPECT_TRUE(Taken(1, {.max_tokens = 100, .num_choices = 1}).empty()); }

TEST(Degradation, Values) {
  Degradable asked{.max_tokens = 1000, .num_choices = 4};
  Degrade(kSteps, 1, asked);
  EXPECT_EQ(asked.max_tokens, 100);
  EXPECT_EQ(asked.num_choices, 1);
}

TEST(Degradation, NothingIsTakenUnlessAskedFor) {
  Degradable asked{.max_tokens = 1000, .num_choices = 4};
  EXPECT_TRUE(Degrade({}, 5, asked).empty());
  EXPECT_FALSE(GoesToSmallerModel({}, 5, "large"));
  EXPECT_FALSE(IsRefusedUnderPressure({}, 5, Hurry(600, 100)));
}

TEST(Degradation, SmallerModel_KeepsItsOwn) {
  EXPECT_TRUE(GoesToSmallerModel(kSteps, 0.7, "large"));
  EXPECT_FALSE(GoesToSmallerModel(kSteps, 0.7, "small"));
}

TEST(Degradation, OnlyWhatCanWait_IsRefused) {
  EXPECT_TRUE(IsRefusedUnderPressure(kSteps, 0.9, Hurry(600, 0)));
  EXPECT_TRUE(IsRefusedUnderPressure(kSteps, 0.9, Hurry(10, 1)));
  EXPECT_FALSE(IsRefusedUnderPressure(kSteps, 0.9, Hurry(10, 0)));
  EXPECT_FALSE(IsRefusedUnderPressure(kSteps, 0.89, Hurry(600, 9)));
}

}  // namespace
}  // namespace autoglm
