#include "config/gateway_references.h"

#include <gtest/gtest.h>

#include <string>

#include "support/gateway_yaml.h"

namespace autoglm::gateway {
namespace {

// Routes a, b, ... from line 2 on, each with what is said of it.
std::string Routes(const std::vector<std::string>& said) {
  std::string yaml = "routes:\n";
  char name = 'a';
  for (const std::string& text : said) {
    yaml += std::string("  - {upstreams: [http://host], name: ") + name++ + (text.empty() ? "" : ", " + text) + "}\n";
  }
  return yaml;
}

TEST(GatewayReferences, RoutesThatAreNamed_MustBeThere) {
  EXPECT_EQ(Refusal(Routes({"fallback: [b, gone]", ""})), "gateway.yaml:2: fallback: there is no route 'gone'; there are a, b");
  EXPECT_EQ(Refusal(Routes({"", "mirror: [gone]"})),
            "gateway.yaml:3: an entry of mirror: there is no route 'gone'; there are a, b");
  EXPECT_EQ(Refusal(Routes({"", "mirror: [a, {route: gone}]"})),
            "gateway.yaml:3: route: there is no route 'gone'; there are a, b");
  EXPECT_EQ(Refusal(Routes({""}) + "faults:\n  - {abort_status: 500, match: {route: [a, gone]}}\n"),
            "gateway.yaml:4: route: there is no route 'gone'; there are a");
}

TEST(GatewayReferences, ALineOfAList_IsNamed) {
  EXPECT_EQ(RouteRefusal("    fallback:\n      - route-1\n      - gone\n"),
            "gateway.yaml:5: fallback: there is no route 'gone'; there are route-1");
}

TEST(GatewayReferences, FallbacksThatGoRound_AreRefused) {
  EXPECT_EQ(Refusal(Routes({"fallback: a"})), "gateway.yaml:2: fallback: goes round in a circle: a, a");
  EXPECT_EQ(Refusal(Routes({"", "fallback: c", "fallback: [a, d]", "fallback: b"})),
            "gateway.yaml:3: fallback: goes round in a circle: b, c, d, b");
  EXPECT_EQ(Refusal(Routes({"fallback: b", "fallback: c", "fallback: b"})),
            "gateway.yaml:2: fallback: goes round in a circle: b, c, b");
}

TEST(GatewayReferences, FallbacksThatMeet_AreNoCircle) {
  EXPECT_EQ(Read(Routes({"fallback: [b, c]", "fallback: d", "fallback: d", ""})).routes.size(), 4u);
}

TEST(GatewayReferences, AMirror_IsAnotherRoute) {
  EXPECT_EQ(Refusal(Routes({"mirror: [a]"})), "gateway.yaml:2: an entry of mirror: is the route that it stands in");
}

}  // namespace
}  // namespace autoglm::gateway
