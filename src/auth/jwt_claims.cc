#include "auth/jwt_claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <ranges>
#include <utility>

#include "auth/policy.h"
#include "json/fields.h"

namespace autoglm {
namespace {

constexpr double kLeewaySeconds = 60;

tl::unexpected<Error> Refuse(std::string_view why) { return Fail(ErrorCode::kUnauthenticated, fmt::format("the token {}", why)); }

// Times are compared as doubles: a claim may be any number.
Status CheckTimes(const JsonFields& claims, WallTime now) {
  const double now_s = std::chrono::duration<double>(now.time_since_epoch()).count();
  AUTOGLM_TRY(const std::optional<double> expires, claims.Number("exp"));
  AUTOGLM_TRY(const std::optional<double> begins, claims.Number("nbf"));
  if (!expires) return Refuse("has no exp claim");
  if (now_s >= *expires + kLeewaySeconds) return Refuse("has expired");
  if (begins && now_s < *begins - kLeewaySeconds) return Refuse("is not valid yet");
  return {};
}

Status CheckIssuer(const JsonFields& claims, const std::string& issuer) {
  if (issuer.empty()) return {};
  AUTOGLM_TRY(const std::optional<std::string> given, claims.String("iss"));
  return given == issuer ? Status() : Refuse("is from another issuer");
}

// A text or a list of texts, RFC 7519 section 4.1.3.
Status CheckAudience(const JsonFields& claims, const std::string& audience) {
  if (audience.empty()) return {};
  const Json* const given = claims.Find("aud");
  const Json wanted(audience);
  const bool is_meant =
      given != nullptr && (given->is_array() ? std::ranges::find(*given, wanted) != given->end() : *given == wanted);
  return is_meant ? Status() : Refuse("is for another audience");
}

// Empty where the claim is not there.
Result<std::string> ReadName(const JsonFields& claims, const std::string& claim) {
  AUTOGLM_TRY(const std::optional<std::string> name, claims.String(claim));
  if (!name) return std::string();
  AUTOGLM_TRY_VOID(CheckAuthName(claim, *name));
  return *name;
}

void AddWords(std::string_view text, std::vector<std::string>& words) {
  for (const auto word : std::views::split(text, ' ')) {
    if (!word.empty()) words.emplace_back(word.begin(), word.end());
  }
}

// RFC 8693 section 4.2 has "scope" as one text; "scp" is what Azure (a text) and Okta (a list) call it.
Result<std::vector<std::string>> ReadScopes(const JsonFields& claims) {
  std::vector<std::string> scopes;
  AUTOGLM_TRY(const std::optional<std::string> scope, claims.String("scope"));
  AddWords(scope.value_or(""), scopes);
  const Json* const list = claims.Find("scp");
  if (list == nullptr || !list->is_array()) {
    AUTOGLM_TRY(const std::optional<std::string> words, claims.String("scp"));
    AddWords(words.value_or(""), scopes);
    return scopes;
  }
  for (const Json& one : *list) {
    if (!one.is_string()) return claims.Refuse("scp", "must be a list of names");
    scopes.push_back(one.get<std::string>());
  }
  return scopes;
}

Result<std::optional<std::vector<std::string>>> ReadScopeModels(const JsonFields& claims, const JwtOptions& options) {
  if (options.scope_models.empty()) return std::nullopt;
  AUTOGLM_TRY(const std::vector<std::string> scopes, ReadScopes(claims));
  std::vector<std::string> patterns;
  for (const auto& [scope, models] : options.scope_models) {
    if (std::ranges::find(scopes, scope) != scopes.end()) patterns.insert(patterns.end(), models.begin(), models.end());
  }
  return patterns;
}

Result<JwtIdentity> ReadIdentity(const JsonFields& claims, const JwtOptions& options) {
  AUTOGLM_TRY(const std::string subject, ReadName(claims, "sub"));
  AUTOGLM_TRY(const std::string tenant, ReadName(claims, options.tenant_claim));
  AUTOGLM_TRY(const std::string policy, ReadName(claims, options.policy_claim));
  AUTOGLM_TRY(std::optional<std::vector<std::string>> scope_models, ReadScopeModels(claims, options));
  return JwtIdentity{.subject = subject.empty() ? tenant : subject,
                     .tenant = !tenant.empty() || subject.empty() ? tenant : "sub:" + subject,
                     .policy = policy.empty() ? options.policy : policy,
                     .scope_models = std::move(scope_models)};
}

Result<JwtIdentity> ReadClaims(std::string_view payload, const JwtOptions& options, WallTime now) {
  AUTOGLM_TRY(const Json json, ParseJson(payload));
  AUTOGLM_TRY(const JsonFields claims, JsonFields::Of(json));
  AUTOGLM_TRY_VOID(CheckTimes(claims, now));
  AUTOGLM_TRY_VOID(CheckIssuer(claims, options.issuer));
  AUTOGLM_TRY_VOID(CheckAudience(claims, options.audience));
  return ReadIdentity(claims, options);
}

}  // namespace

Result<JwtIdentity> ReadJwtClaims(std::string_view payload, const JwtOptions& options, WallTime now) {
  Result<JwtIdentity> identity = ReadClaims(payload, options, now);
  if (!identity && identity.error().code != ErrorCode::kUnauthenticated) {
    return Refuse(fmt::format("has a claim that cannot be read: {}", identity.error().message));
  }
  if (identity && identity->policy.empty()) {
    return Fail(ErrorCode::kPermissionDenied, fmt::format("the token names no policy in its claim {}", options.policy_claim));
  }
  return identity;
}

}  // namespace autoglm
