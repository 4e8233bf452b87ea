#include "config/gateway_route_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "support/gateway_yaml.h"

namespace autoglm::gateway {
namespace {

using testing::ElementsAre;

TEST(GatewayRouteConfig, Everything_CanBeSaid) {
  const GatewayConfig config = Read(
      "routes:\n"
      "  - name: chat\n"
      "    upstreams: [http://a]\n"
      "    rewrite_model: large-v2\n"
      "    tokenizer: models/large.gguf\n"
      "    fallback: [spare, last]\n"
      "    mirror: [next, {route: last, percent: 5}]\n"
      "    degrade: {cap_tokens_above: 0.5, cap_tokens: 100, fallback_above: 0.8}\n"
      "  - {name: spare, upstreams: [http://b], fallback: last}\n"
      "  - {name: last, upstreams: [http://c]}\n"
      "  - {name: next, upstreams: [http://d]}\n");
  const RouteConfig& chat = config.routes[0];
  EXPECT_EQ(chat.name, "chat");
  EXPECT_EQ(chat.rewrite_model, "large-v2");
  EXPECT_EQ(chat.tokenizer, "models/large.gguf");
  EXPECT_THAT(chat.fallback, ElementsAre("spare", "last"));
  EXPECT_THAT(chat.mirrors, ElementsAre(MirrorConfig{.route = "next"}, MirrorConfig{.route = "last", .percent = 5}));
  EXPECT_EQ(chat.degrade, (DegradeConfig{.cap_tokens_above = 0.5, .cap_tokens = 100, .fallback_above = 0.8}));
  EXPECT_THAT(config.routes[1].fallback, ElementsAre("last"));
}

TEST(GatewayRouteConfig, Names_AreUnique) {
  EXPECT_EQ(Read("routes: [{upstreams: [http://a]}, {upstreams: [http://b]}]\n").routes[1].name, "route-2");
  EXPECT_EQ(Refusal("routes:\n  - {name: a, upstreams: [http://a]}\n  - {name: a, upstreams: [http://b]}\n"),
            "gateway.yaml:3: the route 'a' stands here a second time");
  EXPECT_EQ(Refusal("routes:\n  - {name: route-2, upstreams: [http://a]}\n  - {upstreams: [http://b]}\n"),
            "gateway.yaml:3: the route 'route-2' stands here a second time");
  EXPECT_EQ(RouteRefusal("    name: a b\n"),
            "gateway.yaml:3: name: must be 1 to 64 letters, digits, '.', '_' and '-', not 'a b'");
}

TEST(GatewayRouteConfig, WithoutUpstreams_ItIsRefused) {
  EXPECT_EQ(Refusal("routes:\n  - name: a\n"), "gateway.yaml:2: the route 'a' needs 'upstreams' or 'discovery'");
  EXPECT_EQ(Refusal("routes:\n  - upstreams: []\n"), "gateway.yaml:2: the route 'route-1' needs 'upstreams' or 'discovery'");
  EXPECT_EQ(Refusal("routes:\n  - upstreams: http://a\n"), "gateway.yaml:2: upstreams: must be a list of upstreams");
}

TEST(GatewayRouteConfig, Mistakes_AreRefused) {
  EXPECT_EQ(RouteRefusal("    degrade: {fallback_above: 0.5}\n"),
            "gateway.yaml:3: degrade: fallback_above needs a route under 'fallback'");
  EXPECT_EQ(RouteRefusal("    degrade: {cap_tokens_above: 3}\n"),
            "gateway.yaml:3: cap_tokens_above: must be a number from 0 to 2, not '3'");
  EXPECT_EQ(RouteRefusal("    mirror: next\n"), "gateway.yaml:3: mirror: must be a list of routes");
  EXPECT_EQ(RouteRefusal("    mirror: [{percent: 5}]\n"), "gateway.yaml:3: an entry of mirror: needs 'route'");
  EXPECT_EQ(RouteRefusal("    fallback: {a: b}\n"), "gateway.yaml:3: fallback: must be a value or a list of values");
  EXPECT_EQ(RouteRefusal("    rewrite_model: ''\n"), "gateway.yaml:3: rewrite_model: must not be empty");
}

}  // namespace
}  // namespace autoglm::gateway
