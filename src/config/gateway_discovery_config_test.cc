#include "config/gateway_discovery_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "support/gateway_yaml.h"

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

std::string DiscoveryRefusal(const std::string& source) { return Refusal("routes:\n  - discovery:\n      - " + source + "\n"); }

TEST(GatewayDiscoveryConfig, AllSources_StandInOneList) {
  const GatewayConfig config = Read(
      "routes:\n"
      "  - discovery:\n"
      "      - {file: replicas.yaml, like: {engine: autoglm, weight: 2, context: 0-100}}\n"
      "      - {dns: 'replicas.local:8080', interval: 5s}\n"
      "      - {dns: _http._tcp.replicas.local}\n"
      "      - kubernetes: {service: replicas, namespace: llm, port: http, api_server: 'https://k8s:6443', token_file: t, "
      "ca_file: c}\n"
      "      - kubernetes: {service: other}\n");
  const auto& sources = config.routes[0].discovery;
  ASSERT_EQ(sources.size(), 5u);
  EXPECT_TRUE(config.routes[0].upstreams.empty());
  EXPECT_EQ(sources[0].file, "replicas.yaml");
  EXPECT_EQ(sources[0].like.engine, EngineKind::kAutoglm);
  EXPECT_EQ(sources[0].like.spec.most_context_tokens, 100);
  EXPECT_EQ(sources[1].dns, "replicas.local:8080");
  EXPECT_EQ(sources[1].dns_interval, 5s);
  EXPECT_EQ(sources[2].dns, "_http._tcp.replicas.local");
  EXPECT_EQ(sources[3].kubernetes, (DiscoveryConfig::Kubernetes{.service = "replicas",
                                                                .namespace_name = "llm",
                                                                .port_name = "http",
                                                                .api_server = "https://k8s:6443",
                                                                .token_file = "t",
                                                                .ca_file = "c"}));
  EXPECT_EQ(sources[4].kubernetes, (DiscoveryConfig::Kubernetes{.service = "other"}));
}

TEST(GatewayDiscoveryConfig, EachEntry_IsOneSource) {
  const std::string needs = "gateway.yaml:3: an entry of discovery: needs one of 'file', 'dns' and 'kubernetes'";
  EXPECT_EQ(DiscoveryRefusal("{like: {weight: 2}}"), needs);
  EXPECT_EQ(DiscoveryRefusal("{file: a, dns: 'b:1'}"), needs);
  EXPECT_EQ(DiscoveryRefusal("file.yaml"), "gateway.yaml:3: an entry of discovery: must be lines such as 'key: value'");
  EXPECT_EQ(Refusal("routes:\n  - discovery: {file: a}\n"),
            "gateway.yaml:2: discovery: must be a list of places where upstreams are found");
}

TEST(GatewayDiscoveryConfig, BadValues_AreRefused) {
  for (const std::string name : {"replicas", "replicas:0", "_http._tcp.", "_._tcp.a:1", "_http._udp.local", "a b:1"}) {
    EXPECT_EQ(DiscoveryRefusal("{dns: '" + name + "'}"),
              "gateway.yaml:3: dns: must be a name such as replicas.local:8080 or _http._tcp.local, not '" + name + "'");
  }
  EXPECT_EQ(DiscoveryRefusal("{file: a, interval: 1s}"),
            "gateway.yaml:3: interval: is for 'dns': the others tell when they change");
  EXPECT_EQ(DiscoveryRefusal("{dns: 'a:1', interval: 1ms}"),
            "gateway.yaml:3: interval: must be a time such as 250ms, 2s or 5m, from 100ms to 1h, not '1ms'");
  EXPECT_EQ(DiscoveryRefusal("{kubernetes: {namespace: a}}"), "gateway.yaml:3: kubernetes: needs 'service'");
  EXPECT_EQ(
      DiscoveryRefusal("{file: a, like: {url: http://a}}"),
      "gateway.yaml:3: url: unknown key; known are weight, region, context, models, engine, api_key, passes_authorization, tls, "
      "max_inflight, kv_events, kv_events_replay");
}

}  // namespace
}  // namespace autoglm::gateway
