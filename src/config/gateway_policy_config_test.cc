#include "config/gateway_policy_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "support/gateway_yaml.h"

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::Pair;

TEST(GatewayPolicyConfig, Names_AreThoseOfRouting) {
  for (const std::string name : {"round_robin", "random", "least_connections", "power_of_two", "response_time", "prefix_aware",
                                 "session_affinity", "nearest_region", "least_busy"}) {
    EXPECT_EQ(ReadRoute("    policy: " + name + "\n").policy.name, name);
  }
  EXPECT_EQ(ReadRoute("").policy, (PolicyConfig{.name = "least_connections"}));
  EXPECT_EQ(
      RouteRefusal("    policy: best\n"),
      "gateway.yaml:3: policy: there is no policy \"best\"; there are: round_robin, random, least_connections, power_of_two, "
      "response_time, prefix_aware, session_affinity, nearest_region, least_busy");
}

TEST(GatewayPolicyConfig, Scorers_HaveWeights) {
  const PolicyConfig policy =
      ReadRoute("    policy: {scorers: {prefix: 2, load: 0.5}, picker: two_choices, response_time_below: 2s}\n").policy;
  EXPECT_EQ(policy.name, "");
  EXPECT_THAT(policy.scorers, ElementsAre(Pair("prefix", 2), Pair("load", 0.5)));
  EXPECT_EQ(policy.picker, "two_choices");
  EXPECT_EQ(policy.response_time_below, 2s);
}

TEST(GatewayPolicyConfig, SlowOnesCanBeLeftOutOfAnyPolicy) {
  EXPECT_EQ(ReadRoute("    policy: {name: random, response_time_below: 2s}\n").policy,
            (PolicyConfig{.name = "random", .response_time_below = 2s}));
  EXPECT_EQ(ReadRoute("    policy: {response_time_below: 2s}\n").policy.name, "least_connections");
}

TEST(GatewayPolicyConfig, Mistakes_AreRefused) {
  EXPECT_EQ(
      RouteRefusal("    policy:\n      scorers: {speed: 1}\n"),
      "gateway.yaml:4: scorers: there is no scorer \"speed\"; there are: load, response_time, prefix, session, region, busy");
  EXPECT_EQ(RouteRefusal("    policy:\n      scorers: {load: -1}\n"),
            "gateway.yaml:4: load: must be a number from 0 to 1000, not '-1'");
  EXPECT_EQ(RouteRefusal("    policy: {scorers: {}}\n"),
            "gateway.yaml:3: scorers: must be scorers and their weights, such as {prefix: 2, load: 1}");
  EXPECT_EQ(RouteRefusal("    policy: {scorers: {load: 1}, picker: worst}\n"),
            "gateway.yaml:3: picker: must be one of best, two_choices, in_turn, random, not 'worst'");
  EXPECT_EQ(RouteRefusal("    policy: {name: random, scorers: {load: 1}}\n"),
            "gateway.yaml:3: policy: takes a 'name' or 'scorers', not both");
  EXPECT_EQ(RouteRefusal("    policy: {name: random, picker: best}\n"),
            "gateway.yaml:3: picker: is for 'scorers': policies by name have theirs");
  EXPECT_EQ(RouteRefusal("    policy: [random]\n"), "gateway.yaml:3: policy: must be one plain value");
  EXPECT_EQ(RouteRefusal("    policy: {weights: 1}\n"),
            "gateway.yaml:3: weights: unknown key; known are name, scorers, picker, response_time_below");
}

TEST(BuildPolicy, MakesWhatTheFileSays) {
  const routing::Policy named = *BuildPolicy({.name = "round_robin"});
  EXPECT_EQ(named.picker, routing::Picker::kInTurn);
  EXPECT_EQ(named.response_time_below, std::nullopt);

  const routing::Policy scored =
      *BuildPolicy({.name = "", .scorers = {{"prefix", 2}, {"load", 1}}, .picker = "two_choices", .response_time_below = 2s});
  EXPECT_EQ(scored.picker, routing::Picker::kTwoChoices);
  ASSERT_EQ(scored.scorers.size(), 2u);
  EXPECT_EQ(scored.scorers[0].scorer, routing::ScorePrefix);
  EXPECT_EQ(scored.scorers[0].weight, 2);
  EXPECT_EQ(scored.scorers[1].name, "load");
  EXPECT_EQ(scored.response_time_below, Duration(2s));
}

TEST(BuildPolicy, RefusesWhatNoFileSays) {
  EXPECT_FALSE(BuildPolicy({.name = "best"}));
  EXPECT_FALSE(BuildPolicy({.name = "", .scorers = {{"speed", 1}}}));
  EXPECT_FALSE(BuildPolicy({.name = "", .scorers = {{"load", -1}}}));
  EXPECT_FALSE(BuildPolicy({.name = "random", .picker = "worst"}));
}

}  // namespace
}  // namespace autoglm::gateway
