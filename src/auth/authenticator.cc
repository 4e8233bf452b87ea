#include "auth/authenticator.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace autoglm {
namespace {

tl::unexpected<Error> RefuseKey() { return Fail(ErrorCode::kUnauthenticated, "the API key is not valid"); }

const std::shared_ptr<const Principal>& OpenPrincipal() {
  static const auto principal = std::make_shared<const Principal>();
  return principal;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// What stands behind "Bearer", in any case (RFC 9110 section 11.1); empty for other schemes.
std::string_view BearerOf(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  authorization = Trim(authorization);
  const std::string_view scheme = authorization.substr(0, kScheme.size());
  const bool is_bearer = std::ranges::equal(scheme, kScheme, [](char given, char wanted) {
    return given == wanted || (given >= 'A' && given <= 'Z' && given - 'A' + 'a' == wanted);
  });
  return is_bearer ? Trim(authorization.substr(kScheme.size())) : std::string_view();
}

Status CheckKeys(const std::vector<ConfiguredKey>& keys) {
  std::set<std::string> names;
  std::set<KeyHash> hashes;
  for (const ConfiguredKey& key : keys) {
    AUTOGLM_TRY_VOID(CheckAuthName("the name of a key", key.name));
    AUTOGLM_TRY_VOID(CheckPolicy(key.policy));
    if (names.insert(key.name).second && hashes.insert(key.sha256).second) continue;
    return Fail(ErrorCode::kInvalidArgument, fmt::format("the key '{}' is there twice, by its name or its hash", key.name));
  }
  return {};
}

Status CheckOptions(const AuthOptions& options) {
  AUTOGLM_TRY_VOID(CheckKeys(options.keys));
  for (const auto& [name, policy] : options.policies) {
    AUTOGLM_TRY_VOID(CheckAuthName("the name of a policy", name));
    AUTOGLM_TRY_VOID(CheckPolicy(policy));
  }
  if (options.jwt && !options.jwt->policy.empty() && !options.policies.contains(options.jwt->policy)) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("jwt: there is no policy '{}'", options.jwt->policy));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Authenticator>> Authenticator::Create(AuthOptions options, const Clock& clock, AuthHooks hooks) {
  AUTOGLM_TRY_VOID(CheckOptions(options));
  std::unique_ptr<Authenticator> authenticator(new Authenticator(std::move(options), std::move(hooks)));
  const AuthOptions& settings = authenticator->options_;
  if (settings.key_database && (!settings.keys.empty() || settings.jwt)) {
    AUTOGLM_TRY_VOID(KeyStore::OpenOrCreate(*settings.key_database));
  }
  AUTOGLM_TRY(authenticator->keys_, KeyWatcher::Create(settings.key_database, settings.keys, clock, authenticator->hooks_));
  if (settings.jwt) {
    AUTOGLM_TRY(authenticator->jwt_, JwtVerifier::Create(*settings.jwt, clock, authenticator->hooks_));
    authenticator->is_open_ = false;
  }
  (void)authenticator->CurrentKeys();
  return authenticator;
}

std::shared_ptr<const KeyTable> Authenticator::CurrentKeys() const {
  std::shared_ptr<const KeyTable> keys = keys_->Current();
  if (!keys->is_empty()) is_open_ = false;
  return keys;
}

Result<std::shared_ptr<const Principal>> Authenticator::Authenticate(std::string_view authorization,
                                                                     std::string_view api_key) const {
  const std::shared_ptr<const KeyTable> keys = CurrentKeys();
  if (is_open()) return OpenPrincipal();

  const std::string_view bearer = BearerOf(authorization);
  const std::string_view secret = bearer.empty() ? Trim(api_key) : bearer;
  if (secret.empty()) {
    return Fail(ErrorCode::kUnauthenticated, "an API key is needed: send it as 'Authorization: Bearer KEY'");
  }
  if (std::ssize(secret) > kMaxTokenBytes) return RefuseKey();
  if (const KeyTable::Entry* const entry = keys->Find(Sha256Of(secret))) {
    const bool has_expired = entry->expires_at && *entry->expires_at <= hooks_.wall_now();
    if (entry->is_revoked || has_expired) return RefuseKey();
    return entry->principal;
  }
  const bool is_token = std::ranges::count(secret, '.') == 2;
  return jwt_ != nullptr && is_token ? AuthenticateToken(secret, *keys) : RefuseKey();
}

Result<std::shared_ptr<const Principal>> Authenticator::AuthenticateToken(std::string_view token, const KeyTable& keys) const {
  AUTOGLM_TRY(JwtIdentity identity, jwt_->Verify(token));
  const auto policy = options_.policies.find(identity.policy);
  if (policy == options_.policies.end()) {
    return Fail(ErrorCode::kPermissionDenied, fmt::format("the token's policy '{}' is not configured", identity.policy));
  }
  Principal principal{.policy = policy->second};
  principal.policy.scope_models = std::move(identity.scope_models);
  if (!identity.tenant.empty()) principal.policy.tenant = identity.tenant;
  principal.name = identity.subject.empty() ? principal.policy.tenant : identity.subject;
  principal.key_id = "jwt:" + principal.name;
  principal.cache_salt = CacheSaltOf(keys.tenant_secret(), principal.policy.tenant);
  return std::make_shared<const Principal>(std::move(principal));
}

}  // namespace autoglm
