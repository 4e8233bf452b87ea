#include "config/gateway_traffic_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "support/gateway_yaml.h"

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

// All sections, each value other than its default, as lines.
constexpr const char* kEverything =
    "timeouts: {connect: 1s, first_token: 2s, between_tokens: 3s, total: 4s}\n"
    "retries: {max_attempts: 5, first_delay: 10ms, max_delay: 1s, jitter: 0.1, max_retry_after: 2s, budget: {share: 0.3, min: "
    "7}, on: [503]}\n"
    "hedging: {quantile: 0.9, least_delay: 1ms, max_share: 0.1, max_burst: 2, min_count: 3, window: 1m}\n"
    "continue_streams: false\n"
    "probes: {path: /ready, interval: 5s, timeout: 2s, metrics_path: off, metrics_interval: 3s, models_path: off}\n"
    "health: {probes_to_fall: 5, probes_to_rise: 4, slow_start: 0, panic_below: 0.25}\n"
    "breaker: {failures_to_open: 9, open_for: 1s, open_for_max: 2s, max_trials: 3, successes_to_close: 4}\n"
    "outlier: {interval: 1s, min_requests: 2, max_failures: 0.5, ejected_for: 3s, ejected_for_max: 4s, max_ejected: 0.2}\n"
    "queue: {max_requests: 5, max_wait: 6s, max_wait_for_upstream: 7s}\n"
    "prefix: {max_blocks: 1024, lifetime: 1m}\n";

RouteConfig Everything() {
  RouteConfig route;
  route.timeouts = {.connect = 1s, .first_token = 2s, .between_tokens = 3s, .total = 4s};
  route.retries = {.max_attempts = 5, .first_delay = 10ms, .max_delay = 1s, .jitter = 0.1, .max_retry_after = 2s};
  route.retry_budget = {.share = 0.3, .min_retries = 7};
  route.retry_statuses = {503};
  route.hedging = {.quantile = 0.9, .least_delay = 1ms, .max_share = 0.1, .max_burst = 2, .min_count = 3, .window = 1min};
  route.continues_streams = false;
  route.probes = {.path = "/ready", .interval = 5s, .timeout = 2s, .metrics_path = "", .metrics_interval = 3s, .models_path = ""};
  route.health = {
      .probes_to_fall = 5,
      .probes_to_rise = 4,
      .slow_start = 0s,
      .breaker = {.failures_to_open = 9, .open_for = 1s, .open_for_max = 2s, .max_trials = 3, .successes_to_close = 4}};
  route.panic_below = 0.25;
  route.outlier = {
      .interval = 1s, .min_requests = 2, .max_failures = 0.5, .ejected_for = 3s, .ejected_for_max = 4s, .max_ejected = 0.2};
  route.queue = {.max_requests = 5, .max_wait = 6s, .max_wait_for_upstream = 7s};
  route.prefix = {.max_blocks = 1024, .lifetime = 1min};
  return route;
}

// What is not about traffic, as in `like`.
RouteConfig WithIdentity(RouteConfig route, const RouteConfig& like) {
  route.name = like.name;
  route.upstreams = like.upstreams;
  return route;
}

std::string Indented(const std::string& lines) {
  std::string text = "    ";
  for (const char c : lines) text += c == '\n' ? "\n    " : std::string(1, c);
  return text + "\n";
}

TEST(GatewayTrafficConfig, ForAllRoutes_StandsInTheFile) {
  const GatewayConfig config = Read(std::string(kEverything) + "routes: [{upstreams: [http://a]}, {upstreams: [http://b]}]\n");
  for (const RouteConfig& route : config.routes) EXPECT_EQ(route, WithIdentity(Everything(), route));
}

TEST(GatewayTrafficConfig, ForOneRoute_StandsInIt) {
  const RouteConfig route = ReadRoute(Indented(kEverything));
  EXPECT_EQ(route, WithIdentity(Everything(), route));
}

TEST(GatewayTrafficConfig, ARoute_SaysWhatDiffers) {
  const GatewayConfig config = Read(
      "routes:\n"
      "  - {upstreams: [http://a], timeouts: {total: 9s}, hedging: false, retries: {budget: {min: 1}, on: []}}\n"
      "  - {upstreams: [http://b], hedging: true}\n" +
      std::string(kEverything));
  RouteConfig expected = WithIdentity(Everything(), config.routes[0]);
  expected.timeouts.total = 9s;
  expected.hedging.reset();
  expected.retry_budget.min_retries = 1;
  expected.retry_statuses.clear();
  EXPECT_EQ(config.routes[0], expected);
  EXPECT_EQ(config.routes[1], WithIdentity(Everything(), config.routes[1]));
}

TEST(GatewayTrafficConfig, Hedging_IsOffUnlessItIsAskedFor) {
  EXPECT_FALSE(ReadRoute("").hedging);
  EXPECT_EQ(ReadRoute("    hedging: true\n").hedging, resilience::HedgeOptions());
  EXPECT_EQ(ReadRoute("    hedging: {max_share: 0.5}\n").hedging, (resilience::HedgeOptions{.max_share = 0.5}));
  EXPECT_EQ(RouteRefusal("    hedging: sometimes\n"), "gateway.yaml:3: hedging: must be true or false, not 'sometimes'");
}

TEST(GatewayTrafficConfig, Probes_CanBeLeftOut) {
  EXPECT_EQ(ReadRoute("    probes: {path: off}\n").probes.path, "");
  EXPECT_EQ(RouteRefusal("    probes: {path: health}\n"), "gateway.yaml:3: path: must be off or a path such as /health");
  EXPECT_EQ(RouteRefusal("    probes: {metrics_path: '/a b'}\n"),
            "gateway.yaml:3: metrics_path: must be off or a path such as /health");
}

TEST(GatewayTrafficConfig, Statuses_AreThoseOfHttp) {
  EXPECT_THAT(ReadRoute("    retries: {on: [429, 500]}\n").retry_statuses, ElementsAre(429, 500));
  EXPECT_THAT(ReadRoute("    retries: {on: []}\n").retry_statuses, IsEmpty());
  EXPECT_EQ(RouteRefusal("    retries:\n      on:\n        - 500\n        - 600\n"),
            "gateway.yaml:6: an entry of on: must be a whole number from 100 to 599, not '600'");
  EXPECT_EQ(RouteRefusal("    retries: {on: 5xx}\n"), "gateway.yaml:3: on: must be a list of statuses");
}

TEST(GatewayTrafficConfig, NumbersAreBounded) {
  EXPECT_EQ(RouteRefusal("    retries: {max_attempts: 0}\n"),
            "gateway.yaml:3: max_attempts: must be a whole number from 1 to 20, not '0'");
  EXPECT_EQ(RouteRefusal("    retries: {budget: {share: 2}}\n"), "gateway.yaml:3: share: must be a number from 0 to 1, not '2'");
  EXPECT_EQ(RouteRefusal("    hedging: {quantile: 1}\n"),
            "gateway.yaml:3: quantile: must be a number from 0.5 to 0.999, not '1'");
  EXPECT_EQ(RouteRefusal("    prefix: {max_blocks: 99999999999}\n"),
            "gateway.yaml:3: max_blocks: must be a whole number from 1 to 16777216, not '99999999999'");
  EXPECT_EQ(RouteRefusal("    timeouts: {total: 25h}\n"),
            "gateway.yaml:3: total: must be a time such as 250ms, 2s or 5m, from 0 to 24h, not '25h'");
  EXPECT_EQ(RouteRefusal("    queue: {max_requests: -1}\n"),
            "gateway.yaml:3: max_requests: must be a whole number from 0 to 1000000, not '-1'");
}

TEST(GatewayTrafficConfig, WhatContradictsItself_IsRefused) {
  EXPECT_EQ(RouteRefusal("    retries: {first_delay: 10s}\n"),
            "gateway.yaml:3: retries: first_delay must not be above max_delay");
  EXPECT_EQ(RouteRefusal("    breaker: {open_for: 1h}\n"), "gateway.yaml:3: breaker: open_for must not be above open_for_max");
  EXPECT_EQ(RouteRefusal("    outlier: {ejected_for: 1h}\n"),
            "gateway.yaml:3: outlier: ejected_for must not be above ejected_for_max");
}

TEST(GatewayTrafficConfig, UnknownKeys_AreRefused) {
  EXPECT_EQ(Refusal("timeouts: {read: 1s}\n"),
            "gateway.yaml:1: read: unknown key; known are connect, first_token, between_tokens, total");
  EXPECT_EQ(Refusal("\nhealth:\n  breaker: {}\n"),
            "gateway.yaml:3: breaker: unknown key; known are probes_to_fall, probes_to_rise, slow_start, panic_below");
}

}  // namespace
}  // namespace autoglm::gateway
