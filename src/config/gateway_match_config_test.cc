#include "config/gateway_match_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "support/gateway_yaml.h"

namespace autoglm::gateway {
namespace {

using testing::ElementsAre;
using testing::Pair;

TEST(GatewayMatchConfig, PatternsAreOneOrMany) {
  const MatchConfig match = ReadRoute(
                                "    match:\n"
                                "      path: /v1/*\n"
                                "      model: [small, 'chat-*']\n"
                                "      tenant: acme\n"
                                "      header: {X-Team: 'blue*', user-agent: '*'}\n"
                                "      percent: 12.5\n")
                                .match;
  EXPECT_THAT(match.paths, ElementsAre("/v1/*"));
  EXPECT_THAT(match.models, ElementsAre("small", "chat-*"));
  EXPECT_THAT(match.tenants, ElementsAre("acme"));
  EXPECT_THAT(match.headers, ElementsAre(Pair("x-team", "blue*"), Pair("user-agent", "*")));
  EXPECT_EQ(match.percent, 12.5);
  EXPECT_EQ(ReadRoute("").match, MatchConfig());
}

TEST(GatewayMatchConfig, Mistakes_AreRefused) {
  EXPECT_EQ(RouteRefusal("    match: {path: v1}\n"), "gateway.yaml:3: path: must begin with '/' or '*'");
  EXPECT_EQ(RouteRefusal("    match: {model: []}\n"), "gateway.yaml:3: model: must be a value or a list of values");
  EXPECT_EQ(RouteRefusal("    match: {model: ['']}\n"), "gateway.yaml:3: model: must not be empty");
  EXPECT_EQ(RouteRefusal("    match: {tenant: " + std::string(257, 'a') + "}\n"),
            "gateway.yaml:3: tenant: must be at most 256 bytes");
  EXPECT_EQ(RouteRefusal("    match: {header: {'x team': a}}\n"), "gateway.yaml:3: x team: is no name of a header");
  EXPECT_EQ(RouteRefusal("    match:\n      header:\n        a: b\n        A: c\n"),
            "gateway.yaml:6: A: stands here a second time: upper and lower case are the same");
  EXPECT_EQ(RouteRefusal("    match: {header: {a: \"b\\r\\nc: d\"}}\n"), "gateway.yaml:3: a: must not hold control characters");
  EXPECT_EQ(RouteRefusal("    match: {percent: 101}\n"), "gateway.yaml:3: percent: must be a number from 0 to 100, not '101'");
  EXPECT_EQ(RouteRefusal("    match: {percent: 5%}\n"), "gateway.yaml:3: percent: must be a number from 0 to 100, not '5%'");
  EXPECT_EQ(RouteRefusal("    match: {models: a}\n"),
            "gateway.yaml:3: models: unknown key; known are path, model, tenant, header, percent");
}

}  // namespace
}  // namespace autoglm::gateway
