#include "config/auth_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "config/yaml_file.h"

namespace autoglm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const std::string kHash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";  // of "abc"

Result<AuthOptions> Read(const std::string& yaml) {
  AuthOptions auth;
  AUTOGLM_TRY(const YAML::Node node, LoadYaml(yaml, "autoglm.yaml"));
  AUTOGLM_TRY_VOID(ApplyAuthYaml(YamlValue::Root(node, "autoglm.yaml", YamlValue::Environment::kPutIn), auth));
  return auth;
}

std::string Refusal(const std::string& yaml) {
  const Result<AuthOptions> auth = Read(yaml);
  EXPECT_FALSE(auth) << yaml;
  return auth ? "" : auth.error().message;
}

TEST(AuthConfig, Sections_AreReadInAnyOrder) {
  const Result<AuthOptions> auth = Read(
      "jwt: {jwks: /etc/autoglm/jwks.json, issuer: https://issuer, audience: autoglm, policy: standard, policy_claim: p,\n"
      "      tenant_claim: t}\n"
      "keys:\n"
      "  - {name: ci, sha256: " +
      kHash +
      ", policy: standard}\n"
      "  - {name: web, sha256: " +
      std::string(64, 'A') +
      ", policy: {tenant: web, max_concurrent: 4}}\n"
      "  - {name: plain, sha256: '" +
      std::string(64, '1') +
      "'}\n"
      "policies:\n"
      "  standard: {tenant: acme, models: [small, 'chat-*'], highest_priority: 0, max_context_tokens: 4096,\n"
      "             max_output_tokens: 1024, requests_per_minute: 60, tokens_per_minute: 100000, max_concurrent: 8}\n");
  ASSERT_TRUE(auth) << auth.error().message;
  const Policy standard{.tenant = "acme",
                        .models = {"small", "chat-*"},
                        .highest_priority = 0,
                        .max_context_tokens = 4096,
                        .max_output_tokens = 1024,
                        .requests_per_minute = 60,
                        .tokens_per_minute = 100'000,
                        .max_concurrent = 8};
  EXPECT_EQ(auth->policies.at("standard"), standard);
  ASSERT_EQ(auth->keys.size(), 3u);
  EXPECT_EQ(auth->keys[0], (ConfiguredKey{.name = "ci", .sha256 = Sha256Of("abc"), .policy = standard}));
  EXPECT_EQ(auth->keys[1].policy, (Policy{.tenant = "web", .max_concurrent = 4}));
  EXPECT_EQ(auth->keys[2].policy, Policy());
  EXPECT_EQ(auth->jwt, (JwtOptions{.jwks = "/etc/autoglm/jwks.json",
                                   .issuer = "https://issuer",
                                   .audience = "autoglm",
                                   .policy = "standard",
                                   .policy_claim = "p",
                                   .tenant_claim = "t"}));
}

TEST(AuthConfig, WhatIsLeftOut_HasItsDefault) {
  EXPECT_EQ(*Read("port: 80\n"), AuthOptions());
  const AuthOptions auth = *Read("jwt: {jwks: keys.json}\npolicies: {all: {models: small}}\n");
  EXPECT_EQ(auth.jwt->policy_claim, "autoglm_policy");
  EXPECT_EQ(auth.jwt->tenant_claim, "tenant");
  EXPECT_THAT(auth.policies.at("all").models, ElementsAre("small"));
}

TEST(AuthConfig, Budgets_AreRead) {
  const AuthOptions auth = *Read(
      "policies:\n  a: {budget: 12.5, budget_period: day, budget_of: tenant}\n  b: {budget: 1000, acts_for_tenants: true}\n");
  EXPECT_EQ(auth.policies.at("a"),
            (Policy{.budget = 12.5, .budget_period = BudgetPeriod::kDay, .budget_of = BudgetOwner::kTenant}));
  EXPECT_EQ(auth.policies.at("b"), (Policy{.budget = 1000, .budget_period = BudgetPeriod::kMonth, .acts_for_tenants = true}));
  EXPECT_THAT(Refusal("policies:\n  a: {budget: -1}\n"), StartsWith("autoglm.yaml:2: budget: must be"));
  EXPECT_THAT(Refusal("policies:\n  a: {budget_period: week}\n"),
              StartsWith("autoglm.yaml:2: budget_period: must be one of day, month, total, not 'week'"));
}

TEST(AuthConfig, KeysOfAUrlAndScopes_AreRead) {
  const AuthOptions auth = *Read(
      "jwt:\n  jwks_url: https://issuer/jwks\n  jwks_refresh: 10m\n  scopes:\n    chat: 'chat-*'\n    code: [coder, "
      "'coder-*']\n");
  EXPECT_EQ(auth.jwt, (JwtOptions{.jwks_url = "https://issuer/jwks",
                                  .jwks_refresh = std::chrono::minutes(10),
                                  .scope_models = {{"chat", {"chat-*"}}, {"code", {"coder", "coder-*"}}}}));
}

TEST(AuthConfig, BadPolicies_AreNamedWithTheirLine) {
  EXPECT_THAT(
      Refusal("policies:\n  a: {max_output: 3}\n"),
      StartsWith("autoglm.yaml:2: max_output: unknown key; known are tenant, models, highest_priority, budget, budget_period"));
  EXPECT_THAT(Refusal("policies:\n  a:\n    max_concurrent: many\n"),
              StartsWith("autoglm.yaml:3: max_concurrent: must be a whole number from 0 to"));
  EXPECT_THAT(Refusal("policies:\n  a:\n    max_concurrent: -1\n"), StartsWith("autoglm.yaml:3: max_concurrent: "));
  EXPECT_THAT(Refusal("policies:\n  a:\n    max_concurrent: [1]\n"), HasSubstr("must be one plain value"));
  EXPECT_THAT(Refusal("policies:\n  a: {tenant: ''}\n"), StartsWith("autoglm.yaml:2: tenant: must not be empty"));
  EXPECT_THAT(Refusal("policies:\n  a: {models: [{b: c}]}\n"), HasSubstr("models: must be a list of plain values"));
  EXPECT_THAT(Refusal("policies:\n  a: {models: ['']}\n"), StartsWith("autoglm.yaml:2: models: must be 1 to"));
  EXPECT_THAT(Refusal("policies:\n  a: {tenant: x, tenant: y}\n"), HasSubstr("'tenant' stands here a second time"));
  EXPECT_THAT(Refusal("policies:\n  a: 5\n"), StartsWith("autoglm.yaml:2: a: must be lines"));
  EXPECT_THAT(Refusal("policies: [a]\n"), StartsWith("autoglm.yaml:1: policies: must be lines"));
  EXPECT_THAT(Refusal("policies:\n  a: {}\n  a: {}\n"), StartsWith("autoglm.yaml:3: 'a' stands here a second time"));
}

TEST(AuthConfig, BadKeys_AreNamedWithTheirLine) {
  EXPECT_THAT(Refusal("keys: {ci: x}\n"), StartsWith("autoglm.yaml:1: keys: must be a list"));
  EXPECT_THAT(Refusal("keys:\n  - ci\n"), StartsWith("autoglm.yaml:2: an entry of keys: must be lines"));
  EXPECT_THAT(Refusal("keys:\n  - {name: ci}\n"), StartsWith("autoglm.yaml:2: an entry of keys needs 'name' and 'sha256'"));
  EXPECT_THAT(Refusal("keys:\n  - {name: ci, sha256: sk-autoglm-x}\n"),
              StartsWith("autoglm.yaml:2: sha256: must be the SHA-256 of a key as 64 hexadecimal digits"));
  EXPECT_THAT(Refusal("keys:\n  - {name: ci, key: abc}\n"), HasSubstr("key: unknown key; known are name, sha256, policy"));
  EXPECT_THAT(Refusal("keys:\n  - {name: ci, sha256: " + kHash + ", policy: gone}\n"),
              StartsWith("autoglm.yaml:2: policy: there is no policy 'gone' under policies"));
  EXPECT_THAT(Refusal("keys:\n  - {name: ci, sha256: " + kHash + ", policy: {max: 3}}\n"), HasSubstr("max: unknown key"));
  EXPECT_THAT(Refusal("keys:\n  - {name: a, sha256: " + kHash + "}\n  - {name: b, sha256: " + kHash + "}\n"),
              StartsWith("autoglm.yaml:3: the key 'b' stands here a second time"));
}

TEST(AuthConfig, BadTokens_AreNamedWithTheirLine) {
  EXPECT_THAT(Refusal("jwt: {issuer: a}\n"),
              StartsWith("autoglm.yaml:1: jwt needs one of 'jwks', a file of keys, and 'jwks_url'"));
  EXPECT_THAT(Refusal("jwt: {jwks: a, jwks_url: 'https://b'}\n"), StartsWith("autoglm.yaml:1: jwt needs one of"));
  EXPECT_THAT(Refusal("jwt: {jwks_url: 'https://b', jwks_refresh: 1s}\n"), StartsWith("autoglm.yaml:1: jwks_refresh: "));
  EXPECT_THAT(Refusal("jwt:\n  jwks: a\n  scopes: {}\n"), StartsWith("autoglm.yaml:3: scopes: must name at least one scope"));
  EXPECT_THAT(Refusal("jwt:\n  jwks: a\n  scopes:\n    'a b': x\n"), StartsWith("autoglm.yaml:4: a b: no scope has such a name"));
  EXPECT_THAT(Refusal("jwt:\n  jwks: a\n  url: b\n"), StartsWith("autoglm.yaml:3: url: unknown key; known are jwks, jwks_url"));
  EXPECT_THAT(Refusal("jwt:\n  jwks: a\n  policy: gone\n"), StartsWith("autoglm.yaml:3: policy: there is no policy 'gone'"));
  EXPECT_THAT(Refusal("jwt:\n  jwks:\n"), StartsWith("autoglm.yaml:2: jwks: has no value"));
  EXPECT_THAT(Refusal("jwt: yes\n"), StartsWith("autoglm.yaml:1: jwt: must be lines"));
}

}  // namespace
}  // namespace autoglm
