#include "config/gateway_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "config/key_database.h"
#include "support/gateway_yaml.h"
#include "support/temporary_folder.h"

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(GatewayConfig, SmallestFile_IsAGateway) {
  const GatewayConfig config = Read(
      "listen: 127.0.0.1:8000\n"
      "routes:\n"
      "  - upstreams: [http://127.0.0.1:8081, http://127.0.0.1:8082]\n"
      "    policy: least_connections\n");
  EXPECT_EQ(config.listen, (ListenConfig{.host = "127.0.0.1", .port = 8000, .tls = {}}));
  ASSERT_EQ(config.routes.size(), 1u);
  EXPECT_EQ(config.routes[0].name, "route-1");
  EXPECT_EQ(config.routes[0].policy.name, "least_connections");
  ASSERT_EQ(config.routes[0].upstreams.size(), 2u);
  EXPECT_EQ(config.routes[0].upstreams[0].url, "http://127.0.0.1:8081");
  EXPECT_EQ(config.routes[0].upstreams[1].spec.name, "http://127.0.0.1:8082");
}

TEST(GatewayConfig, WhatIsLeftOut_HasItsDefault) {
  GatewayConfig expected;
  expected.auth.key_database = DefaultKeyDatabase();
  expected.routes.resize(1);
  expected.routes[0].name = "route-1";
  expected.routes[0].upstreams = {{.spec = {.name = "http://127.0.0.1:8081"}, .url = "http://127.0.0.1:8081"}};
  EXPECT_EQ(ReadBeforeRoutes(""), expected);
}

TEST(GatewayConfig, Settings_OfTheWholeGateway) {
  const GatewayConfig config = ReadBeforeRoutes(
      "threads: 4\n"
      "region: eu\n"
      "drain_timeout: 1m\n"
      "unauthenticated: anywhere\n"
      "trusts_forwarded: true\n"
      "keys_database: off\n"
      "budgets: {database: /var/lib/budgets.db}\n"
      "audit_log: /var/log/audit.jsonl\n"
      "workers: /var/lib/workers\n");
  EXPECT_EQ(config.threads, 4);
  EXPECT_EQ(config.region, "eu");
  EXPECT_EQ(config.drain_timeout, 60s);
  EXPECT_TRUE(config.serves_anybody_anywhere);
  EXPECT_TRUE(config.trusts_forwarded);
  EXPECT_EQ(config.auth.key_database, std::nullopt);
  EXPECT_EQ(config.budget_database, "/var/lib/budgets.db");
  EXPECT_EQ(config.audit_log, "/var/log/audit.jsonl");
  EXPECT_EQ(config.workers, "/var/lib/workers");
  EXPECT_EQ(ReadBeforeRoutes("threads: auto\n").threads, 0);
}

TEST(GatewayConfig, WhoMayDoWhat_IsSaidAsForServe) {
  const GatewayConfig config = ReadBeforeRoutes("keys: [{name: ci, sha256: " + std::string(64, 'a') +
                                                ", policy: small}]\n"
                                                "policies: {small: {tenant: acme, models: 'chat-*', tokens_per_minute: 1000}}\n"
                                                "jwt: {jwks: keys.json, policy: small}\n"
                                                "keys_database: keys.db\n");
  ASSERT_EQ(config.auth.keys.size(), 1u);
  EXPECT_EQ(config.auth.keys[0].policy, config.auth.policies.at("small"));
  EXPECT_EQ(config.auth.policies.at("small").tokens_per_minute, 1000);
  EXPECT_EQ(config.auth.jwt->policy, "small");
  EXPECT_EQ(config.auth.key_database, "keys.db");
  EXPECT_EQ(Refusal("jwt: {jwks: a, policy: gone}\n"), "gateway.yaml:1: policy: there is no policy 'gone' under policies");
}

TEST(GatewayConfig, UnknownKeys_AreRefusedWithTheKnownOnes) {
  EXPECT_THAT(Refusal("listen: 127.0.0.1:8000\nroutse: []\n"),
              StartsWith("gateway.yaml:2: routse: unknown key; known are listen, admin, admin_token, threads, limits, region, "));
  EXPECT_THAT(RouteRefusal("    upstream: [a]\n"),
              StartsWith("gateway.yaml:3: upstream: unknown key; known are name, match, upstreams, discovery, policy, "));
  EXPECT_EQ(Refusal("budgets: {file: a}\n"), "gateway.yaml:1: file: unknown key; known are database");
}

TEST(GatewayConfig, KeysThatStandTwice_AreRefused) {
  EXPECT_EQ(Refusal("threads: 1\nregion: eu\nthreads: 2\n"), "gateway.yaml:3: 'threads' stands here a second time");
  EXPECT_EQ(Refusal("limits:\n  max_body: 1M\n  max_body: 2M\n"), "gateway.yaml:3: 'max_body' stands here a second time");
}

TEST(GatewayConfig, BadValues_AreNamedWithWhatIsAllowed) {
  EXPECT_EQ(Refusal("threads: many\n"), "gateway.yaml:1: threads: must be auto or a whole number up to 1024, not 'many'");
  EXPECT_EQ(Refusal("\ndrain_timeout: 30\n"),
            "gateway.yaml:2: drain_timeout: must be a time such as 250ms, 2s or 5m, from 0 to 24h, not '30'");
  EXPECT_EQ(Refusal("unauthenticated: true\n"), "gateway.yaml:1: unauthenticated: must be loopback or anywhere, not 'true'");
  EXPECT_EQ(Refusal("trusts_forwarded: yes\n"), "gateway.yaml:1: trusts_forwarded: must be true or false, not 'yes'");
  EXPECT_EQ(Refusal("region: \"a\\nb\"\n"), "gateway.yaml:1: region: must not hold control characters");
  EXPECT_EQ(Refusal("region:\n"), "gateway.yaml:1: region: has no value");
  EXPECT_EQ(Refusal("region: [eu]\n"), "gateway.yaml:1: region: must be one plain value");
  EXPECT_EQ(Refusal("audit_log: ''\n"), "gateway.yaml:1: audit_log: must not be empty");
}

TEST(GatewayConfig, WithoutRoutes_ThereIsNothingToDo) {
  const std::string needs = "the file needs 'routes', such as routes: [{upstreams: [http://127.0.0.1:8081]}]";
  EXPECT_EQ(Refusal("listen: 127.0.0.1:8000\n"), "gateway.yaml:1: " + needs);
  EXPECT_EQ(Refusal(""), "gateway.yaml:1: the file says nothing; it needs 'routes'");
  EXPECT_EQ(Refusal("routes: []\n"), "gateway.yaml:1: routes: must be 1 to 1024 routes");
  EXPECT_EQ(Refusal("routes: chat\n"), "gateway.yaml:1: routes: must be a list of routes");
  EXPECT_EQ(Refusal("routes:\n  - chat\n"), "gateway.yaml:2: an entry of routes: must be lines such as 'key: value'");
}

TEST(GatewayConfig, WhatIsNoConfiguration_IsRefused) {
  EXPECT_EQ(Refusal("- routes\n"), "gateway.yaml:1: the file: must be lines such as 'key: value'");
  EXPECT_EQ(Refusal("routes: [\n"), "gateway.yaml:2: end of sequence flow not found");
  EXPECT_EQ(Refusal("a: \xFF\n"), "gateway.yaml:1: the file must be text in UTF-8");
  EXPECT_EQ(Refusal("a: 1\n---\na: 2\n"), "gateway.yaml:2: a second document begins here; only one is read");
  EXPECT_THAT(Refusal("routes: &a [*a]\n"), StartsWith("gateway.yaml:1: is more than 32 levels deep"));
}

TEST(GatewayConfig, Aliases_SayThingsOnce) {
  const GatewayConfig config = Read(
      "routes:\n"
      "  - {upstreams: &all [http://a:1, http://b:1], match: {model: big}}\n"
      "  - {upstreams: *all}\n");
  EXPECT_EQ(config.routes[0].upstreams, config.routes[1].upstreams);
}

TEST(GatewayConfig, Environment_IsPutIntoValues) {
  setenv("AUTOGLM_TEST_HOST", "10.0.0.7", 1);
  setenv("AUTOGLM_TEST_KEY", "sk-hunter2", 1);
  const GatewayConfig config =
      Read("routes: [{upstreams: [{url: 'http://${AUTOGLM_TEST_HOST}:8081', api_key: '${AUTOGLM_TEST_KEY}'}]}]\n");
  EXPECT_EQ(config.routes[0].upstreams[0].url, "http://10.0.0.7:8081");
  EXPECT_EQ(config.routes[0].upstreams[0].api_key, "sk-hunter2");
  unsetenv("AUTOGLM_TEST_HOST");
  unsetenv("AUTOGLM_TEST_KEY");
  EXPECT_EQ(Refusal("region: eu\nadmin_token: ${AUTOGLM_TEST_KEY}\n"),
            "gateway.yaml:2: admin_token: there is no variable AUTOGLM_TEST_KEY in the environment");
}

TEST(GatewayConfig, Secrets_AreInNoMessage) {
  setenv("AUTOGLM_TEST_SECRET", "hunter2", 1);
  const std::string secret = "${AUTOGLM_TEST_SECRET}";
  for (const std::string& yaml :
       {"threads: " + secret + "\n", "listen: " + secret + "\n", "unauthenticated: " + secret + "\n",
        "upstreams: {a: {url: 'http://" + secret + "@host'}}\n", "upstreams: {a: {url: http://host, engine: " + secret + "}}\n",
        "routes: [{upstreams: [" + secret + "]}]\n", "routes: [{upstreams: [http://a], fallback: " + secret + "}]\n",
        "routes: [{upstreams: [http://a], policy: " + secret + "}]\n",
        "routes: [{upstreams: [http://a], mirror: [" + secret + "]}]\n", "keys: [{name: a, sha256: " + secret + "}]\n",
        "jwt: {jwks: a, policy: " + secret + "}\n", "redis: {address: " + secret + " x}\n",
        "upstreams: {a: {url: http://host, context: " + secret + "}}\n",
        "routes: [{upstreams: [http://a], name: '" + secret + "!'}]\n"}) {
    EXPECT_THAT(Refusal(yaml), Not(HasSubstr("hunter2"))) << yaml;
  }
  unsetenv("AUTOGLM_TEST_SECRET");
  EXPECT_THAT(Refusal("upstreams: {a: 'http://user:hunter2@host'}\n"), Not(HasSubstr("hunter2")));
  EXPECT_THAT(Refusal("admin_token: \"hunter2\\t\"\n"), Not(HasSubstr("hunter2")));
}

TEST(GatewayConfig, AFile_IsRead) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "gateway.yaml") << kRoutes;
  EXPECT_TRUE(LoadGatewayConfig(folder.path() / "gateway.yaml"));
  std::ofstream(folder.path() / "bad.yaml") << "a: b\n";
  EXPECT_THAT(LoadGatewayConfig(folder.path() / "bad.yaml").error().message, HasSubstr("bad.yaml:1: a: unknown key"));
  const Result<GatewayConfig> gone = LoadGatewayConfig(folder.path() / "gone.yaml");
  EXPECT_EQ(gone.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(gone.error().message, EndsWith("gone.yaml: No such file or directory"));
}

}  // namespace
}  // namespace autoglm::gateway
