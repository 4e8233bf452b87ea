#include "config/gateway_upstream_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "support/gateway_yaml.h"

namespace autoglm::gateway {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

const std::string kNotAUrl = "must be a URL such as http://127.0.0.1:8081 or https://host, without user, path and query";

// Of an upstream that is one line of a list in line 2.
std::string UpstreamRefusal(const std::string& upstream) { return Refusal("routes:\n  - upstreams: [" + upstream + "]\n"); }

UpstreamConfig ReadUpstream(const std::string& upstream) {
  const GatewayConfig config = Read("routes:\n  - upstreams: [" + upstream + "]\n");
  return config.routes.empty() ? UpstreamConfig() : config.routes[0].upstreams[0];
}

TEST(GatewayUpstreamConfig, NamesUrlsAndMaps_StandInOneList) {
  const GatewayConfig config = Read(
      "routes:\n"
      "  - upstreams: [big, http://b:1/, {url: http://c:1}, {name: d, url: http://d:1}, small]\n"
      "upstreams:\n"
      "  big: {url: http://a:1, weight: 4}\n"
      "  small: http://e:1\n");
  const auto& upstreams = config.routes[0].upstreams;
  std::vector<std::string> names;
  std::vector<std::string> urls;
  for (const UpstreamConfig& upstream : upstreams) {
    names.push_back(upstream.spec.name);
    urls.push_back(upstream.url);
  }
  EXPECT_THAT(names, ElementsAre("big", "http://b:1", "http://c:1", "d", "small"));
  EXPECT_THAT(urls, ElementsAre("http://a:1", "http://b:1", "http://c:1", "http://d:1", "http://e:1"));
  EXPECT_EQ(upstreams[0].spec.weight, 4);
}

TEST(GatewayUpstreamConfig, Everything_CanBeSaid) {
  const UpstreamConfig expected{
      .spec = {.name = "a",
               .weight = 2.5,
               .region = "eu",
               .least_context_tokens = 100,
               .most_context_tokens = 32'768,
               .models = {"small", "large"}},
      .url = "https://a:1",
      .engine = EngineKind::kVllm,
      .api_key = "secret",
      .tls =
          http::TlsClientOptions{
              .ca = "ca.pem", .certificate = "c.pem", .key = "k.pem", .server_name = "b", .is_name_checked = false},
      .max_inflight = 8,
      .kv_events = "tcp://a:5557"};
  EXPECT_EQ(ReadUpstream(
                "{name: a, url: https://a:1, weight: 2.5, region: eu, context: 100-32768, models: [small, large], engine: vllm,\n"
                "api_key: secret, tls: {ca: ca.pem, certificate: c.pem, key: k.pem, server_name: b, verify: false},\n"
                "max_inflight: 8, kv_events: 'tcp://a:5557'}"),
            expected);
  EXPECT_TRUE(ReadUpstream("{url: http://a, passes_authorization: true}").passes_authorization);
}

TEST(GatewayUpstreamConfig, HostInKvEvents_IsTheUrls) {
  const auto endpoint = [](const std::string& url) {
    return ReadUpstream("{url: '" + url + "', kv_events: 'tcp://{host}:5557', kv_events_replay: 'tcp://{host}:5657'}");
  };
  EXPECT_EQ(endpoint("http://a").kv_events, "tcp://a:5557");
  EXPECT_EQ(endpoint("http://a:8000").kv_events_replay, "tcp://a:5657");
  EXPECT_EQ(endpoint("http://[fd00::1]:80").kv_events, "tcp://[fd00::1]:5557");
}

TEST(GatewayUpstreamConfig, Contexts_AreRanges) {
  EXPECT_EQ(ReadUpstream("{url: http://a, context: 32769-}").spec.least_context_tokens, 32'769);
  EXPECT_EQ(ReadUpstream("{url: http://a, context: 32769-}").spec.most_context_tokens, 0);
  EXPECT_EQ(ReadUpstream("{url: http://a, context: {most: 10}}").spec.most_context_tokens, 10);
  EXPECT_EQ(ReadUpstream("{url: http://a, context: {least: 5, most: 5}}").spec.least_context_tokens, 5);
  for (const std::string text : {"100", "5-4", "-5", "a-b", "0-0", "1-99999999"}) {
    EXPECT_EQ(
        UpstreamRefusal("{url: http://a, context: '" + text + "'}"),
        "gateway.yaml:2: context: must be tokens such as 0-32768, or 32769- for any number from there on, not '" + text + "'");
  }
  EXPECT_EQ(UpstreamRefusal("{url: http://a, context: {least: 5, most: 4}}"),
            "gateway.yaml:2: context: 'least' must not be above 'most'");
}

TEST(GatewayUpstreamConfig, BadUrls_AreRefused) {
  EXPECT_EQ(UpstreamRefusal("http://a/v1"), "gateway.yaml:2: an entry of upstreams: " + kNotAUrl);
  EXPECT_EQ(UpstreamRefusal("{url: 'a:80'}"), "gateway.yaml:2: url: " + kNotAUrl);
  EXPECT_EQ(UpstreamRefusal("{weight: 2}"), "gateway.yaml:2: an entry of upstreams: needs 'url'");
  EXPECT_EQ(Refusal("upstreams:\n  a:\n    weight: 2\n"), "gateway.yaml:2: a: needs 'url'");
  EXPECT_EQ(Refusal("upstreams:\n  a: b\n"), "gateway.yaml:2: a: " + kNotAUrl);
}

TEST(GatewayUpstreamConfig, BadValues_AreRefused) {
  EXPECT_EQ(UpstreamRefusal("{url: http://a, weight: 0}"),
            "gateway.yaml:2: weight: must be a number from 0.001 to 1000, not '0'");
  EXPECT_EQ(UpstreamRefusal("{url: http://a, engine: tgi}"),
            "gateway.yaml:2: engine: must be one of unknown, autoglm, vllm, sglang, llama.cpp, not 'tgi'");
  EXPECT_EQ(UpstreamRefusal("{url: http://a, kv_events: 'a:1'}"),
            "gateway.yaml:2: kv_events: must be an endpoint such as tcp://127.0.0.1:5557, not 'a:1'");
  EXPECT_EQ(UpstreamRefusal("{url: http://a, models: []}"), "gateway.yaml:2: models: must be a value or a list of values");
  EXPECT_EQ(UpstreamRefusal("{url: http://a, name: 'a b'}"),
            "gateway.yaml:2: name: must be 1 to 64 letters, digits, '.', '_' and '-', not 'a b'");
  EXPECT_EQ(UpstreamRefusal("{url: http://a, prot: 1}"),
            "gateway.yaml:2: prot: unknown key; known are name, url, weight, region, context, models, engine, api_key, "
            "passes_authorization, tls, max_inflight, kv_events, kv_events_replay");
  EXPECT_EQ(Refusal("upstreams:\n  a/b: http://a\n"),
            "gateway.yaml:2: a/b: the name must be 1 to 64 letters, digits, '.', '_' and '-', not 'a/b'");
  EXPECT_THAT(Refusal("upstreams:\n  a: {url: http://a, name: b}\n"), StartsWith("gateway.yaml:2: name: unknown key"));
}

TEST(GatewayUpstreamConfig, WhatContradictsItself_IsRefused) {
  EXPECT_EQ(UpstreamRefusal("{url: http://a, tls: {ca: b}}"), "gateway.yaml:2: tls: is for a URL that begins with https://");
  EXPECT_EQ(UpstreamRefusal("{url: https://a, tls: {key: b}}"),
            "gateway.yaml:2: tls: needs both of 'certificate' and 'key', or none");
  EXPECT_EQ(UpstreamRefusal("{url: http://a, api_key: b, passes_authorization: true}"),
            "gateway.yaml:2: an entry of upstreams: cannot have both an 'api_key' and 'passes_authorization': one Authorization "
            "is sent");
}

TEST(GatewayUpstreamConfig, Names_MustBeThereAndOnce) {
  EXPECT_EQ(UpstreamRefusal("small"),
            "gateway.yaml:2: there is no upstream 'small' under upstreams; a URL begins with http:// or https://");
  EXPECT_EQ(UpstreamRefusal("http://a, http://a/"), "gateway.yaml:2: the upstream 'http://a' stands here a second time");
  EXPECT_EQ(Refusal("upstreams: {a: http://a}\nroutes:\n  - upstreams:\n      - a\n      - a\n"),
            "gateway.yaml:5: the upstream 'a' stands here a second time");
  EXPECT_EQ(Refusal("upstreams: {a: http://a}\nroutes:\n  - upstreams: [{name: a, url: http://b}]\n"),
            "gateway.yaml:3: there is an upstream 'a' under upstreams already; name it alone");
}

TEST(ParseUpstreamList, TakesWhatIsNotSaidFromLike) {
  const UpstreamConfig like{.spec = {.weight = 3, .region = "eu"}, .engine = EngineKind::kVllm, .tls = http::TlsClientOptions()};
  const auto upstreams = ParseUpstreamList("- http://a:1\n- {url: https://b:1, weight: 2, name: b}\n", "list.yaml", like);
  ASSERT_TRUE(upstreams) << upstreams.error().message;
  const UpstreamConfig plain{
      .spec = {.name = "http://a:1", .weight = 3, .region = "eu"}, .url = "http://a:1", .engine = EngineKind::kVllm};
  const UpstreamConfig secure{.spec = {.name = "b", .weight = 2, .region = "eu"},
                              .url = "https://b:1",
                              .engine = EngineKind::kVllm,
                              .tls = http::TlsClientOptions()};
  EXPECT_THAT(*upstreams, ElementsAre(plain, secure));
}

TEST(ParseUpstreamList, MayBeEmpty) {
  EXPECT_TRUE(ParseUpstreamList("", "list.yaml", {})->empty());
  EXPECT_TRUE(ParseUpstreamList("[]\n", "list.yaml", {})->empty());
}

TEST(ParseUpstreamList, Mistakes_AreNamedWithFileAndLine) {
  const auto refusal = [](const std::string& yaml) { return ParseUpstreamList(yaml, "list.yaml", {}).error().message; };
  EXPECT_EQ(refusal("- http://a\n- b\n"),
            "list.yaml:2: there is no upstream 'b' under upstreams; a URL begins with http:// or https://");
  EXPECT_EQ(refusal("upstreams: []\n"), "list.yaml:1: the file: must be a list of upstreams");
  EXPECT_EQ(refusal("- http://a\n- http://a\n"), "list.yaml:2: the upstream 'http://a' stands here a second time");
}

TEST(EngineKindName, IsWhatStandsInTheFile) {
  EXPECT_EQ(EngineKindName(EngineKind::kUnknown), "unknown");
  EXPECT_EQ(EngineKindName(EngineKind::kAutoglm), "autoglm");
  EXPECT_EQ(EngineKindName(EngineKind::kVllm), "vllm");
  EXPECT_EQ(EngineKindName(EngineKind::kSglang), "sglang");
  EXPECT_EQ(EngineKindName(EngineKind::kLlamaCpp), "llama.cpp");
}

}  // namespace
}  // namespace autoglm::gateway
