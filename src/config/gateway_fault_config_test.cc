#include "config/gateway_fault_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "support/gateway_yaml.h"

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

std::string FaultRefusal(const std::string& fault) { return Refusal("faults:\n  - " + fault + "\n"); }

TEST(GatewayFaultConfig, Everything_CanBeSaid) {
  const GatewayConfig config = ReadBeforeRoutes(
      "faults:\n"
      "  - name: slow\n"
      "    match: {route: route-1, tenant: [a, 'b*'], header: {X-Test: '*'}, percent: 5}\n"
      "    delay: 1s\n"
      "    first_token_delay: 2s\n"
      "    token_delay: 3ms\n"
      "    jitter: 0.5\n"
      "    abort_status: 503\n"
      "    cut_after_events: 0\n"
      "  - abort_status: 429\n");
  const FaultConfig slow{.name = "slow",
                         .routes = {"route-1"},
                         .tenants = {"a", "b*"},
                         .headers = {{"x-test", "*"}},
                         .percent = 5,
                         .delay = 1s,
                         .first_token_delay = 2s,
                         .token_delay = 3ms,
                         .jitter = 0.5,
                         .abort_status = 503,
                         .cut_after_events = 0};
  ASSERT_EQ(config.faults.size(), 2u);
  EXPECT_EQ(config.faults[0], slow);
  EXPECT_EQ(config.faults[1], (FaultConfig{.name = "fault-2", .abort_status = 429}));
}

TEST(GatewayFaultConfig, Mistakes_AreRefused) {
  EXPECT_EQ(FaultRefusal("{name: a, jitter: 0.5}"),
            "gateway.yaml:2: an entry of faults: does nothing: it needs a delay, 'abort_status' or 'cut_after_events'");
  EXPECT_EQ(FaultRefusal("{abort_status: 100}"),
            "gateway.yaml:2: abort_status: must be a whole number from 200 to 599, not '100'");
  EXPECT_EQ(FaultRefusal("{delay: 1s, match: {percent: -1}}"),
            "gateway.yaml:2: percent: must be a number from 0 to 100, not '-1'");
  EXPECT_EQ(FaultRefusal("{delay: 1s, match: {model: a}}"),
            "gateway.yaml:2: model: unknown key; known are route, tenant, header, percent");
  EXPECT_EQ(FaultRefusal("{cut_after_events: -1}"),
            "gateway.yaml:2: cut_after_events: must be a whole number from 0 to 1000000, not '-1'");
  EXPECT_EQ(Refusal("faults:\n  - {name: a, delay: 1s}\n  - {name: a, delay: 2s}\n"),
            "gateway.yaml:3: the fault 'a' stands here a second time");
  EXPECT_EQ(Refusal("faults: {a: 1}\n"), "gateway.yaml:1: faults: must be a list of faults");
}

}  // namespace
}  // namespace autoglm::gateway
