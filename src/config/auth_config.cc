#include "config/auth_config.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <string>

#include "base/priority.h"
#include "config/values.h"

namespace autoglm {
namespace {

using Policies = std::map<std::string, Policy>;

Status SetText(const YamlValue& value, std::string& target) {
  AUTOGLM_TRY(target, value.Text());
  return target.empty() ? value.Refuse("must not be empty") : Status();
}

Status SetPolicyField(const YamlValue& value, Policy& policy) {
  if (value.name() == "tenant") return SetText(value, policy.tenant);
  if (value.name() == "models") {
    AUTOGLM_TRY(policy.models, value.Texts());
    return {};
  }
  const auto number = [&value](int64_t min, int64_t max) {
    return value.Parse([=](const std::string& text) { return ParseInteger(text, min, max); });
  };
  if (value.name() == "highest_priority") {
    AUTOGLM_TRY(policy.highest_priority, number(-kMaxPriority, kMaxPriority));
    return {};
  }
  if (value.name() == "budget") {
    AUTOGLM_TRY(policy.budget,
                value.Parse([](const std::string& text) { return ParseReal(text, 0, static_cast<double>(kMaxPolicyLimit)); }));
    return {};
  }
  if (value.name() == "budget_period") {
    AUTOGLM_TRY(policy.budget_period, value.Parse([](const std::string& text) { return ParseBudgetPeriod(text); }));
    return {};
  }
  if (value.name() == "budget_of") {
    AUTOGLM_TRY(policy.budget_of, value.Parse([](const std::string& text) { return ParseBudgetOwner(text); }));
    return {};
  }
  if (value.name() == "acts_for_tenants") {
    AUTOGLM_TRY(policy.acts_for_tenants, value.Parse(ParseSwitch));
    return {};
  }
  std::string known = "tenant, models, highest_priority, budget, budget_period, budget_of, acts_for_tenants";
  for (const PolicyLimit& limit : PolicyLimits()) {
    known += fmt::format(", {}", limit.name);
    if (value.name() != limit.name) continue;
    AUTOGLM_TRY(policy.*limit.count, number(0, kMaxPolicyLimit));
    return {};
  }
  return value.Refuse("unknown key; known are " + known);
}

Result<Policy> ReadPolicy(const YamlValue& map) {
  Policy policy;
  AUTOGLM_TRY(const std::vector<YamlValue> fields, map.Fields());
  for (const YamlValue& field : fields) AUTOGLM_TRY_VOID(SetPolicyField(field, policy));
  if (const Status status = CheckPolicy(policy); !status) return map.FailHere(status.error().message);
  return policy;
}

Status ReadPolicies(const YamlValue& map, Policies& policies) {
  AUTOGLM_TRY(const std::vector<YamlValue> entries, map.Fields());
  for (const YamlValue& entry : entries) {
    if (const Status status = CheckAuthName("its name", entry.name()); !status) return entry.Refuse(status.error().message);
    AUTOGLM_TRY(policies[entry.name()], ReadPolicy(entry));
  }
  return {};
}

tl::unexpected<Error> RefusePolicy(const YamlValue& value) {
  return value.Refuse(fmt::format("there is no policy '{}' under policies", value.AsWritten()));
}

// The name of a policy, or what one would say.
Result<Policy> ReadKeyPolicy(const YamlValue& value, const Policies& policies) {
  if (!value.IsPlain()) return ReadPolicy(value);
  AUTOGLM_TRY(const std::string name, value.Text());
  const auto found = policies.find(name);
  if (found != policies.end()) return found->second;
  return RefusePolicy(value);
}

// An entry of keys, and the policies that are there.
struct KeyEntry {
  const Policies& policies;
  ConfiguredKey key;
  bool has_hash = false;
};

constexpr YamlField<KeyEntry> kKeyFields[] = {
    {"name",
     [](KeyEntry& entry, const YamlValue& value) -> Status {
       AUTOGLM_TRY(entry.key.name, value.Text());
       const Status status = CheckAuthName("it", entry.key.name);
       return status ? Status() : value.Refuse(status.error().message);
     }},
    {"sha256",
     [](KeyEntry& entry, const YamlValue& value) -> Status {
       AUTOGLM_TRY(entry.key.sha256, value.Parse(ParseKeyHash));
       entry.has_hash = true;
       return {};
     }},
    {"policy",
     [](KeyEntry& entry, const YamlValue& value) -> Status {
       AUTOGLM_TRY(entry.key.policy, ReadKeyPolicy(value, entry.policies));
       return {};
     }},
};

Status ReadKeys(const YamlValue& list, AuthOptions& auth) {
  AUTOGLM_TRY(const std::vector<YamlValue> items, list.Items("keys"));
  std::set<std::string> names;
  std::set<KeyHash> hashes;
  for (const YamlValue& item : items) {
    KeyEntry entry{.policies = auth.policies, .key = {}};
    AUTOGLM_TRY_VOID(ReadFields(item, kKeyFields, entry));
    if (entry.key.name.empty() || !entry.has_hash) return item.FailHere("an entry of keys needs 'name' and 'sha256'");
    if (!names.insert(entry.key.name).second || !hashes.insert(entry.key.sha256).second) {
      return item.FailHere(fmt::format("the key '{}' stands here a second time", entry.key.name));
    }
    auth.keys.push_back(std::move(entry.key));
  }
  return {};
}

Status SetJwks(JwtOptions& jwt, const YamlValue& value) {
  std::string file;
  AUTOGLM_TRY_VOID(SetText(value, file));
  jwt.jwks = file;
  return {};
}

Status SetJwksRefresh(JwtOptions& jwt, const YamlValue& value) {
  AUTOGLM_TRY(const int64_t seconds, value.Parse([](const std::string& text) { return ParseSeconds(text, 5, 86'400); }));
  jwt.jwks_refresh = std::chrono::seconds(seconds);
  return {};
}

Status SetScopes(JwtOptions& jwt, const YamlValue& map) {
  AUTOGLM_TRY(const std::vector<YamlValue> scopes, map.Fields());
  if (scopes.empty()) return map.Refuse("must name at least one scope");
  for (const YamlValue& scope : scopes) {
    if (scope.name().empty() || scope.name().find(' ') != std::string::npos) return scope.Refuse("no scope has such a name");
    AUTOGLM_TRY(jwt.scope_models[scope.name()], scope.Texts());
  }
  return {};
}

constexpr YamlField<JwtOptions> kJwtFields[] = {
    {"jwks", SetJwks},
    {"jwks_url", [](JwtOptions& jwt, const YamlValue& value) { return SetText(value, jwt.jwks_url); }},
    {"jwks_refresh", SetJwksRefresh},
    {"issuer", [](JwtOptions& jwt, const YamlValue& value) { return SetText(value, jwt.issuer); }},
    {"audience", [](JwtOptions& jwt, const YamlValue& value) { return SetText(value, jwt.audience); }},
    {"policy", [](JwtOptions& jwt, const YamlValue& value) { return SetText(value, jwt.policy); }},
    {"policy_claim", [](JwtOptions& jwt, const YamlValue& value) { return SetText(value, jwt.policy_claim); }},
    {"tenant_claim", [](JwtOptions& jwt, const YamlValue& value) { return SetText(value, jwt.tenant_claim); }},
    {"scopes", SetScopes},
};

Status ReadJwt(const YamlValue& map, AuthOptions& auth) {
  JwtOptions jwt;
  AUTOGLM_TRY_VOID(ReadFields(map, kJwtFields, jwt));
  if (jwt.jwks.empty() == jwt.jwks_url.empty()) {
    return map.FailHere("jwt needs one of 'jwks', a file of keys, and 'jwks_url', where they are fetched");
  }
  if (!jwt.policy.empty() && !auth.policies.contains(jwt.policy)) return RefusePolicy(*map.Find("policy"));
  auth.jwt = std::move(jwt);
  return {};
}

}  // namespace

bool IsAuthSection(std::string_view key) { return key == "policies" || key == "keys" || key == "jwt"; }

Status ApplyAuthYaml(const YamlValue& root, AuthOptions& auth) {
  // Policies first: the others name them.
  if (const auto policies = root.Find("policies")) AUTOGLM_TRY_VOID(ReadPolicies(*policies, auth.policies));
  if (const auto keys = root.Find("keys")) AUTOGLM_TRY_VOID(ReadKeys(*keys, auth));
  if (const auto jwt = root.Find("jwt")) AUTOGLM_TRY_VOID(ReadJwt(*jwt, auth));
  return {};
}

}  // namespace autoglm
