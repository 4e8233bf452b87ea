#include "cli/auth_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "base/priority.h"
#include "cli/option_values.h"
#include "cli/yaml_fields.h"

namespace autoglm {
namespace {

using Policies = std::map<std::string, Policy>;

tl::unexpected<Error> RefuseKey(std::string_view known) {
  return Fail(ErrorCode::kInvalidArgument, fmt::format("unknown key; known are {}", known));
}

Status SetText(const YAML::Node& value, std::string& target) {
  AUTOGLM_TRY(target, ScalarValue(value));
  if (target.empty()) return Fail(ErrorCode::kInvalidArgument, "must not be empty");
  return {};
}

Status SetPolicyField(const std::string& key, const YAML::Node& value, Policy& policy) {
  if (key == "tenant") return SetText(value, policy.tenant);
  if (key == "models") {
    AUTOGLM_TRY(policy.models, ScalarValues(value));
    return {};
  }
  if (key == "highest_priority") {
    AUTOGLM_TRY(const std::string text, ScalarValue(value));
    AUTOGLM_TRY(policy.highest_priority, ParseInteger(text, -kMaxPriority, kMaxPriority));
    return {};
  }
  std::string known = "tenant, models, highest_priority";
  for (const PolicyLimit& limit : PolicyLimits()) {
    known += fmt::format(", {}", limit.name);
    if (key != limit.name) continue;
    AUTOGLM_TRY(const std::string text, ScalarValue(value));
    AUTOGLM_TRY(policy.*limit.count, ParseInteger(text, 0, kMaxPolicyLimit));
    return {};
  }
  return RefuseKey(known);
}

Result<Policy> ReadPolicy(const YAML::Node& map, std::string_view file_name) {
  Policy policy;
  AUTOGLM_TRY_VOID(ForEachField(map, file_name, "policy", [&policy](const std::string& key, const YAML::Node& value) {
    return SetPolicyField(key, value, policy);
  }));
  if (const Status status = CheckPolicy(policy); !status) return FailAt(file_name, map.Mark(), status.error().message);
  return policy;
}

Status ReadPolicies(const YAML::Node& map, std::string_view file_name, Policies& policies) {
  AUTOGLM_TRY_VOID(ForEachField(map, file_name, "policies",
                                [](const std::string& key, const YAML::Node&) { return CheckAuthName("its name", key); }));
  for (const auto& entry : map) {
    AUTOGLM_TRY(policies[entry.first.Scalar()], ReadPolicy(entry.second, file_name));
  }
  return {};
}

// The name of a policy, or what one would say.
Result<Policy> ReadKeyPolicy(const YAML::Node& node, std::string_view file_name, const Policies& policies) {
  if (!node.IsScalar()) return ReadPolicy(node, file_name);
  const auto found = policies.find(node.Scalar());
  if (found != policies.end()) return found->second;
  return FailAt(file_name, node.Mark(), fmt::format("policy: there is no policy '{}' under policies", node.Scalar()));
}

Result<ConfiguredKey> ReadKey(const YAML::Node& map, std::string_view file_name, const Policies& policies) {
  ConfiguredKey key;
  bool has_hash = false;
  AUTOGLM_TRY_VOID(
      ForEachField(map, file_name, "an entry of keys", [&](const std::string& field, const YAML::Node& value) -> Status {
        if (field == "name") {
          AUTOGLM_TRY(key.name, ScalarValue(value));
          return CheckAuthName("it", key.name);
        }
        if (field == "sha256") {
          AUTOGLM_TRY(const std::string hex, ScalarValue(value));
          AUTOGLM_TRY(key.sha256, ParseKeyHash(hex));
          has_hash = true;
          return {};
        }
        return field == "policy" ? Status() : RefuseKey("name, sha256, policy");
      }));
  if (key.name.empty() || !has_hash) return FailAt(file_name, map.Mark(), "an entry of keys needs 'name' and 'sha256'");
  if (map["policy"]) {
    AUTOGLM_TRY(key.policy, ReadKeyPolicy(map["policy"], file_name, policies));
  }
  return key;
}

Status ReadKeys(const YAML::Node& list, std::string_view file_name, AuthOptions& auth) {
  if (!list.IsSequence()) return FailAt(file_name, list.Mark(), "keys: must be a list of keys");
  std::set<std::string> names;
  std::set<KeyHash> hashes;
  for (const auto& entry : list) {
    AUTOGLM_TRY(ConfiguredKey key, ReadKey(entry, file_name, auth.policies));
    if (!names.insert(key.name).second || !hashes.insert(key.sha256).second) {
      return FailAt(file_name, entry.Mark(), fmt::format("the key '{}' stands here a second time", key.name));
    }
    auth.keys.push_back(std::move(key));
  }
  return {};
}

Status ReadJwt(const YAML::Node& map, std::string_view file_name, AuthOptions& auth) {
  JwtOptions jwt;
  std::string jwks;
  const std::map<std::string, std::string*, std::less<>> fields = {{"jwks", &jwks},
                                                                   {"issuer", &jwt.issuer},
                                                                   {"audience", &jwt.audience},
                                                                   {"policy", &jwt.policy},
                                                                   {"policy_claim", &jwt.policy_claim},
                                                                   {"tenant_claim", &jwt.tenant_claim}};
  AUTOGLM_TRY_VOID(ForEachField(map, file_name, "jwt", [&fields](const std::string& key, const YAML::Node& value) -> Status {
    const auto field = fields.find(key);
    return field == fields.end() ? RefuseKey("jwks, issuer, audience, policy, policy_claim, tenant_claim")
                                 : SetText(value, *field->second);
  }));
  if (jwks.empty()) return FailAt(file_name, map.Mark(), "jwt needs 'jwks', a file of keys");
  if (!jwt.policy.empty() && !auth.policies.contains(jwt.policy)) {
    return FailAt(file_name, map["policy"].Mark(), fmt::format("policy: there is no policy '{}' under policies", jwt.policy));
  }
  jwt.jwks = jwks;
  auth.jwt = std::move(jwt);
  return {};
}

}  // namespace

bool IsAuthSection(std::string_view key) { return key == "policies" || key == "keys" || key == "jwt"; }

Status ApplyAuthYaml(const YAML::Node& root, std::string_view file_name, AuthOptions& auth) {
  // Policies first: the others name them.
  if (root["policies"]) AUTOGLM_TRY_VOID(ReadPolicies(root["policies"], file_name, auth.policies));
  if (root["keys"]) AUTOGLM_TRY_VOID(ReadKeys(root["keys"], file_name, auth));
  if (root["jwt"]) AUTOGLM_TRY_VOID(ReadJwt(root["jwt"], file_name, auth));
  return {};
}

}  // namespace autoglm
