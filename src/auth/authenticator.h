#pragma once

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/auth_hooks.h"
#include "auth/jwt_verifier.h"
#include "auth/key_table.h"
#include "auth/key_watcher.h"
#include "auth/policy.h"
#include "auth/principal.h"
#include "base/clock.h"
#include "base/result.h"

namespace autoglm {

struct AuthOptions {
  std::optional<std::filesystem::path> key_database;  // looked at if it exists
  std::vector<ConfiguredKey> keys;
  std::optional<JwtOptions> jwt;
  std::map<std::string, Policy> policies;  // by name, for tokens

  bool operator==(const AuthOptions&) const = default;
};

// Says who a request comes from. Keys and tokens are never logged, and never part of an error.
class Authenticator {
 public:
  // Where keys or tokens are configured and the key database does not exist, it is created: it keeps the secret behind cache
  // salts. Without one (nullopt) salts differ after a restart.
  // Errors: those of KeyStore and JwtVerifier; kInvalidArgument for bad policies, keys given twice, and a policy for tokens that
  // does not exist.
  static Result<std::unique_ptr<Authenticator>> Create(AuthOptions options, const Clock& clock, AuthHooks hooks = {});

  // True while there is no key, unrevoked or revoked, and tokens are not configured: everyone is the open principal then, with
  // the default policy and salt 0. What was once false stays false, even where all keys disappear.
  bool is_open() const { return is_open_.load(); }

  // Any thread. The values of the headers `Authorization` ("Bearer X") and `x-api-key`; either may be empty, and a bearer counts
  // more. Takes effect of a change in the key database within a second.
  // Errors: kUnauthenticated without a key and with one that is unknown, revoked or expired, the same for these three; for
  // tokens, as JwtVerifier; kPermissionDenied for a token whose policy is not configured.
  Result<std::shared_ptr<const Principal>> Authenticate(std::string_view authorization, std::string_view api_key) const;

  // nullptr where tokens are not configured. For who fetches its keys.
  JwtVerifier* jwt() const { return jwt_.get(); }

 private:
  Authenticator(AuthOptions options, AuthHooks hooks) : options_(std::move(options)), hooks_(std::move(hooks)) {}

  std::shared_ptr<const KeyTable> CurrentKeys() const;
  Result<std::shared_ptr<const Principal>> AuthenticateToken(std::string_view token, const KeyTable& keys) const;

  const AuthOptions options_;
  const AuthHooks hooks_;
  std::unique_ptr<KeyWatcher> keys_;
  std::unique_ptr<JwtVerifier> jwt_;  // nullptr: no tokens
  mutable std::atomic<bool> is_open_{true};
};

}  // namespace autoglm
